//! What a tool's name says of it.

/// Tools of coding agents that only write files, in lower case without `_` and `-`.
const FILE: [&str; 23] = [
    "write",
    "edit",
    "multiedit",
    "notebookedit",
    "strreplaceeditor",
    "strreplacebasededittool",
    "applypatch",
    "writefile",
    "editfile",
    "createfile",
    "writetofile",
    "replaceinfile",
    "insertcontent",
    "searchandreplace",
    "searchreplace",
    "applydiff",
    "replace",
    "patch",
    "createnewfile",
    "editexistingfile",
    "texteditor",
    "insertedit",
    "applypatchcall",
];
/// A tool whose name holds one of these is there to reach the network.
const NETWORK: [&str; 24] = [
    "fetch",
    "http",
    "web",
    "brows",
    "curl",
    "request",
    "upload",
    "mail",
    "slack",
    "discord",
    "telegram",
    "webhook",
    "send",
    "navigate",
    "publish",
    // What code hosts and trackers have, with whatever a client puts before it.
    "createissue",
    "updateissue",
    "createpull",
    "createcomment",
    "addcomment",
    "creategist",
    "pushfiles",
    "createorupdatefile",
    "putobject",
];
/// What a tool of an MCP server does that hands something on: a server that nobody here knows reaches the network.
const ACTIONS: [&str; 17] = [
    "create", "send", "post", "push", "type", "put", "fill", "add", "comment", "update", "reply",
    "share", "submit", "insert", "upload", "append", "publish",
];
/// Words of MCP servers that work on this machine.
const LOCAL: [&str; 9] = [
    "fs",
    "local",
    "memory",
    "serena",
    "editor",
    "ide",
    "jetbrains",
    "vscode",
    "desktop",
];

/// What a tool's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Edits files, and nothing else.
    File,
    /// Is there to reach the network.
    Network,
    /// A shell, or unknown: its arguments tell.
    Other,
}

/// What a tool's name alone says.
#[must_use]
pub fn tool(name: Option<&str>) -> Tool {
    let name = name.unwrap_or_default();
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if FILE.contains(&plain.as_str()) {
        Tool::File
    } else if NETWORK.iter().any(|part| plain.contains(part)) || hands_on(name) {
        Tool::Network
    } else {
        Tool::Other
    }
}

/// Whether it is `mcp__SERVER__TOOL`, of a server that is none of this machine, and a tool that hands something on.
fn hands_on(name: &str) -> bool {
    let parts = name
        .strip_prefix("mcp__")
        .and_then(|rest| rest.rsplit_once("__"));
    parts.is_some_and(|(server, tool)| {
        let is_local = |word: &String| LOCAL.contains(&word.as_str()) || word.starts_with("file");
        !words(server).iter().any(is_local)
            && words(tool)
                .iter()
                .any(|word| ACTIONS.contains(&word.as_str()))
    })
}

/// `create_issue`, `create-issue`, `createIssue`: the same words, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if !c.is_ascii_lowercase() && !c.is_ascii_digit() {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            last.push(c.to_ascii_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_hand_something_on_are_network() {
        for name in [
            "mcp__github__create_issue",
            "mcp__jira__add_comment",
            "mcp__notion__API-post-page",
            "mcp__notion__createPage",
            "mcp__s3__put_object",
            "mcp__playwright__type",
            "mcp__claude_ai_Linear__update_ticket",
            "github_create_pull_request",
            "create_gist",
            "push_files",
            "create_or_update_file",
        ] {
            assert_eq!(tool(Some(name)), Tool::Network, "{name}");
        }
    }

    #[test]
    fn tools_that_read_or_work_on_this_machine_are_not() {
        for name in [
            "mcp__github__get_file",
            "mcp__postgres__query",
            "mcp__filesystem__create_directory",
            "mcp__serena__create_text_file",
            "mcp__ide__typeText",
            "mcp__x__prototype_address_input",
            "TodoWrite",
            "Bash",
        ] {
            assert_eq!(tool(Some(name)), Tool::Other, "{name}");
        }
    }
}
