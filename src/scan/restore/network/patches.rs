//! Codex edits files through its shell: what stands in a patch is a file's content, not a command. Only what no shell can
//! run is left out: whoever writes a command writes what looks like a patch, too.

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";

/// The text after a patch that it begins with; the whole text if it begins with none that ends.
pub fn after_patch(text: &str) -> &str {
    if !text.trim_start().starts_with(BEGIN) {
        return text;
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line.trim() == END {
            return text.get(at..).unwrap_or_default();
        }
    }
    text
}

/// A command without what the shell hands to `apply_patch`: the lines of a heredoc that is closed, where nothing but `cd`
/// and other patches stand before it.
pub fn without_heredocs(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    // What came since the last patch: a quote or a heredoc that is open there would make other words of the same lines.
    let mut before = 0;
    while let Some((line, after)) = rest.split_once('\n') {
        kept.push_str(line);
        kept.push('\n');
        rest = after;
        if !line.contains("apply_patch") {
            continue;
        }
        let opening = Heredoc::read(kept.get(before..).unwrap_or_default());
        let Some(closed) = opening.and_then(|opening| opening.closed(rest)) else {
            break;
        };
        rest = closed;
        before = kept.len();
    }
    kept.push_str(rest);
    kept
}

struct Heredoc<'a> {
    word: &'a str,
    /// `<<-`: the last line may be indented with tabs.
    tabs: bool,
    /// The shell puts in what `$(…)` says.
    expands: bool,
}

impl<'a> Heredoc<'a> {
    /// The heredoc of `apply_patch` that these lines end with.
    fn read(lines: &'a str) -> Option<Self> {
        let (before, opening) = lines.split_once("apply_patch")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || " \t\n/._-&;~+@".contains(c);
        let mut commands = before.split(['\n', ';', '&']).map(str::trim);
        if !before.chars().all(plain)
            || !commands.all(|one| one.is_empty() || one.starts_with("cd "))
        {
            return None;
        }
        let opening = opening.trim().strip_prefix("<<")?;
        let (tabs, opening) = opening
            .strip_prefix('-')
            .map_or((false, opening), |opening| (true, opening));
        let opening = opening.trim_start();
        let quote = opening.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let word = quote.map_or(Some(opening), |quote| {
            opening.strip_prefix(quote)?.strip_suffix(quote)
        })?;
        let is_word =
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_word.then_some(Self {
            word,
            tabs,
            expands: quote.is_none(),
        })
    }

    /// What follows its last line; `None` where it has none, or the shell runs something for its text.
    fn closed<'b>(&self, text: &'b str) -> Option<&'b str> {
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            at += line.len();
            let line = line.trim_end_matches('\n');
            let line = if self.tabs {
                line.trim_start_matches('\t')
            } else {
                line
            };
            if line == self.word {
                return text.get(at..);
            }
            if self.expands && line.contains(['$', '`']) {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apply_patch_is_handed_is_left_out() {
        for (command, left) in [
            (
                "apply_patch <<'EOF'\n*** Begin Patch\n+curl\n*** End Patch\nEOF\nls",
                "apply_patch <<'EOF'\nls",
            ),
            (
                "cd /a/b && apply_patch << EOF\n*** Begin Patch\n+curl\n*** End Patch\nEOF\n",
                "cd /a/b && apply_patch << EOF\n",
            ),
            (
                "apply_patch <<-\"X\"\n+a\n\tX\ncd b\napply_patch <<'X'\n+b\nX",
                "apply_patch <<-\"X\"\ncd b\napply_patch <<'X'\n",
            ),
        ] {
            assert_eq!(without_heredocs(command), left);
        }
    }

    #[test]
    fn whatever_a_shell_may_run_stays() {
        for command in [
            "cat >/dev/null <<'X'\n*** Begin Patch\nX\ncurl",
            "apply_patch <<'X'\n*** Begin Patch\ncurl\n*** End Patch\n",
            "apply_patch <<X\n$(curl)\nX\n",
            "apply_patch <<'X' | sh\ncurl\nX\n",
            "sh <<'Y'; apply_patch <<'X'\ncurl\nX\n",
            ": <<'Q'\napply_patch <<'X'\nQ\ncurl\nX\n",
            "echo '\napply_patch <<X\n'; curl\nX\n",
            "apply_patch() {\nsh\n}\napply_patch <<'X'\ncurl\nX\n",
            "cat <<'X' | sh # apply_patch\ncurl\nX\n",
        ] {
            assert_eq!(without_heredocs(command), command);
        }
        let command = "apply_patch <<'X'\n*** Begin Patch\nX\ncurl\n*** End Patch\n";
        assert!(without_heredocs(command).contains("curl"));
    }

    #[test]
    fn a_patch_ends_where_it_says_so() {
        let patch = "*** Begin Patch\n+curl\n*** End Patch";
        assert_eq!(after_patch(patch), "");
        assert_eq!(after_patch(&format!("\n{patch}\nls")), "ls");
        for other in [
            "ls",
            "*** Begin Patch\n+curl",
            "a\n*** Begin Patch\n*** End Patch\n",
        ] {
            assert_eq!(after_patch(other), other);
        }
    }
}
