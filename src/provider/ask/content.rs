//! Parts of messages that are not text: images, documents, audio, and their sources.

use super::super::json::Text;
use super::super::route::Dialect;
use super::field::Tag;

/// The most tokens of one image. Anthropic: 4,784 at the highest resolution of the newest models. `OpenAI`: 10,000 patches at
/// `detail: original`, times 1.2 for some models.
const ANTHROPIC_IMAGE: u64 = 5_000;
const OPENAI_IMAGE: u64 = 12_000;
/// Audio: ten tokens a second, so at the lowest bit rates in use still 16 bytes of base64 for each.
const AUDIO_BYTES: u64 = 16;

/// What is known of an object inside a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) tag: Tag,
    /// How often `type` was told: twice is in doubt.
    pub(super) tags: u8,
    /// Bytes of data that are no text, here or in the part's source.
    data: u64,
    /// How often data was told.
    datas: u8,
    /// The kind of its source.
    source: Tag,
    is_image: bool,
    /// Names something that is not in the body.
    pub(super) elsewhere: bool,
}

/// What one part adds to the demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// Bytes that are not billed as text.
    pub(super) not_text: u64,
    pub(super) media_tokens: u64,
    pub(super) opaque: bool,
}

impl Part {
    /// A `type`; the first one stays, a second one puts the part in doubt.
    pub(super) fn tagged(&mut self, tag: Tag) {
        if self.tags == 0 {
            self.tag = tag;
        }
        self.tags = self.tags.saturating_add(1);
    }

    /// Data of the source, or of the part itself.
    pub(super) fn data(&mut self, text: &Text<'_>) {
        self.data = text.len;
        self.datas = self.datas.saturating_add(1);
    }

    /// A URL: an image in the URL itself is data, anything else is elsewhere.
    pub(super) fn url(&mut self, text: &Text<'_>) {
        if text.decoded().starts_with(b"data:image/") {
            self.is_image = true;
            self.source = Tag::Base64;
            self.data(text);
        } else {
            self.elsewhere = true;
        }
    }

    pub(super) fn media_type(&mut self, text: &Text<'_>) {
        self.is_image = text.decoded().starts_with(b"image/");
    }

    /// A source ended inside this part.
    pub(super) fn take_source(&mut self, source: &Self) {
        self.data = source.data;
        self.datas = self.datas.saturating_add(source.datas);
        self.is_image = source.is_image;
        self.elsewhere |= source.elsewhere;
        self.source = if source.tags > 1 {
            Tag::Unknown
        } else if source.source == Tag::Absent {
            source.tag
        } else {
            source.source
        };
    }

    /// What the whole part adds.
    pub(super) fn added(&self, dialect: Dialect) -> Added {
        let image_tokens = match dialect {
            Dialect::Anthropic => ANTHROPIC_IMAGE,
            Dialect::OpenAi => OPENAI_IMAGE,
        };
        let certain = self.tags == 1 && self.datas == 1;
        let image = |certain: bool| Added {
            not_text: if certain { self.data } else { 0 },
            media_tokens: image_tokens,
            opaque: self.tags > 1,
        };
        match self.tag {
            Tag::Image => image(certain && self.source == Tag::Base64 && self.is_image),
            Tag::MadeImage => image(certain),
            Tag::Audio => Added {
                not_text: if certain { self.data } else { 0 },
                media_tokens: self.data / AUDIO_BYTES + 1,
                opaque: self.tags > 1,
            },
            Tag::Document => Added {
                opaque: self.source != Tag::Text || self.elsewhere || self.tags > 1,
                ..Added::default()
            },
            Tag::Reference => Added {
                opaque: true,
                ..Added::default()
            },
            Tag::Unknown | Tag::Absent => Added {
                opaque: self.elsewhere || self.datas > 0,
                ..Added::default()
            },
            _ => Added {
                opaque: self.tags > 1 && (self.elsewhere || self.datas > 0),
                ..Added::default()
            },
        }
    }
}
