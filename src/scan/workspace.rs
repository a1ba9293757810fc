//! What a worker keeps between scans.

use std::sync::Arc;

use super::decode::blocks::Blocks;
use super::decode::chunks::Chunk;
use super::decode::events::Gap;
use super::decode::marks::Marks;
use super::decode::pieces::Piece;
use super::engine::Memory;
use super::seen::Tag;
use super::text::Text;

/// Bytes that a workspace keeps from one scan to the next; what a larger body needed is given back.
const KEPT: usize = 8 << 20;

/// The matcher's scratch and the buffers. Any scanner takes any workspace; the first
/// scan after a change of scanner prepares it anew.
#[derive(Default)]
pub struct Workspace {
    pub(super) prepared_for: Option<Arc<()>>,
    pub(super) memory: Memory,
    pub(super) texts: Vec<Text>,
    pub(super) blocks: Blocks,
    pub(super) marks: Marks,
    pub(super) pieces: Vec<Piece>,
    /// Per rule: where its last match ended.
    pub(super) resume: Vec<usize>,
    pub(super) chunks: Vec<Chunk>,
    pub(super) tags: Vec<Tag>,
    /// What of the body is left out.
    pub(super) gaps: Vec<Gap>,
}

impl Workspace {
    /// Bytes of all texts.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.texts.iter().map(|text| text.bytes.len() as u64).sum()
    }

    pub(super) fn shrink(&mut self) {
        for text in &mut self.texts {
            text.shrink(KEPT);
        }
        self.blocks.clear();
        self.marks.shrink(KEPT);
        self.pieces.clear();
        if self.pieces.capacity() > KEPT / size_of::<Piece>() {
            self.pieces.shrink_to(0);
        }
    }
}
