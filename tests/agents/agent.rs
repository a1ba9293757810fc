//! One agent: how it is told where the gateway is, and how it is asked something without a terminal, in a home of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The longest that an agent may take, on a busy machine, before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    ClaudeCode,
    Codex,
    Opencode,
    /// aider on Anthropic's API.
    AiderAnthropic,
    /// aider on `OpenAI`'s API.
    AiderOpenAi,
    Continue,
    Cline,
}

/// What an agent is asked, and where.
pub struct Ask<'a> {
    pub gateway: String,
    pub key: &'a str,
    pub prompt: &'a str,
    /// Whether Claude Code shall ask for the list of models first.
    pub lists_models: bool,
}

/// What came of it.
pub struct Told {
    /// What its user would have read.
    pub output: String,
    /// Its working directory, with `note.txt`.
    pub home: tempfile::TempDir,
}

impl Agent {
    pub const ALL: [Self; 7] = [
        Self::ClaudeCode,
        Self::Codex,
        Self::Opencode,
        Self::AiderAnthropic,
        Self::AiderOpenAi,
        Self::Continue,
        Self::Cline,
    ];

    /// As the tables name it, with its version.
    pub fn name(self) -> String {
        let npm: serde_json::Value =
            serde_json::from_str(include_str!("package.json")).expect("JSON");
        let npm = |name: &str, package: &str| {
            let version = npm["dependencies"][package].as_str().expect("a version");
            format!("{name} {version}")
        };
        let (_, aider) = include_str!("requirements.txt")
            .trim()
            .split_once("==")
            .expect("a version");
        match self {
            Self::ClaudeCode => npm("Claude Code", "@anthropic-ai/claude-code"),
            Self::Codex => npm("Codex", "@openai/codex"),
            Self::Opencode => npm("opencode", "opencode-ai"),
            Self::AiderAnthropic => format!("aider {aider}, Messages"),
            Self::AiderOpenAi => format!("aider {aider}, chat"),
            Self::Continue => npm("Continue", "@continuedev/cli"),
            Self::Cline => npm("Cline", "cline"),
        }
    }

    /// Asks it, with `note` in the file `note.txt` of its working directory, and waits for its end.
    pub async fn ask(self, ask: &Ask<'_>, note: &str) -> Told {
        only_loopback();
        let home = tempfile::tempdir().expect("a temporary directory");
        let work = home.path().join("work");
        for dir in ["work", "tmp", ".codex", ".config/opencode", ".continue"] {
            std::fs::create_dir_all(home.path().join(dir)).expect("a directory");
        }
        std::fs::write(work.join("note.txt"), note).expect("a file");
        let mut command = self.command(ask, home.path());
        let path = std::env::var_os("PATH").expect("a path");
        command
            .env("PATH", path)
            .env("HOME", home.path())
            .env("TMPDIR", home.path().join("tmp"))
            .env("TERM", "dumb")
            .env("LANG", "C.UTF-8")
            .current_dir(&work)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        end_all(home.path());
        let output = ended
            .unwrap_or_else(|_| panic!("{} did not end", self.name()))
            .expect("the agent is installed");
        let output = [output.stdout, output.stderr].concat();
        let output = String::from_utf8_lossy(&output).into_owned();
        Told { output, home }
    }

    /// With nothing of the environment but what it sets.
    fn command(self, ask: &Ask<'_>, home: &Path) -> Command {
        match self {
            Self::ClaudeCode => claude_code(ask),
            Self::Codex => codex(ask, home),
            Self::Opencode => opencode(ask, home),
            Self::AiderAnthropic => {
                let mut aider = aider("anthropic/claude-haiku-4-5", ask);
                aider
                    .env("ANTHROPIC_API_BASE", &ask.gateway)
                    .env("ANTHROPIC_API_KEY", ask.key);
                aider
            }
            Self::AiderOpenAi => {
                let mut aider = aider("openai/gpt-5.5", ask);
                aider
                    .env("OPENAI_API_BASE", ask.openai())
                    .env("OPENAI_API_KEY", ask.key);
                aider
            }
            Self::Continue => continue_dev(ask, home),
            Self::Cline => cline(ask),
        }
    }
}

impl Ask<'_> {
    /// Where clients of `OpenAI`'s API find it, and opencode all.
    fn openai(&self) -> String {
        format!("{}/v1", self.gateway)
    }
}

fn claude_code(ask: &Ask<'_>) -> Command {
    let mut claude = program("js/node_modules/.bin/claude");
    claude
        .env("ANTHROPIC_BASE_URL", &ask.gateway)
        .env("ANTHROPIC_API_KEY", ask.key)
        .args(["-p", "--model", "claude-haiku-4-5"])
        .args(["--allowedTools", "Bash", "--", ask.prompt]);
    if ask.lists_models {
        claude.env("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1");
    }
    claude
}

/// It asks for a `WebSocket` first, and speaks HTTP once it is refused.
fn codex(ask: &Ask<'_>, home: &Path) -> Command {
    let config = format!(
        r#"model = "gpt-5.5"
model_provider = "tollgate"
[model_providers.tollgate]
name = "Tollgate"
base_url = "{}"
env_key = "TOLLGATE_KEY"
wire_api = "responses"
supports_websockets = true
"#,
        ask.openai()
    );
    std::fs::write(home.join(".codex/config.toml"), config).expect("a file");
    let mut codex = program("js/node_modules/.bin/codex");
    codex
        .env("TOLLGATE_KEY", ask.key)
        .args(["exec", "--skip-git-repo-check"])
        .args(["--sandbox", "danger-full-access", "--", ask.prompt]);
    codex
}

fn opencode(ask: &Ask<'_>, home: &Path) -> Command {
    let config = serde_json::json!({
        "model": "tollgate/claude-haiku-4-5",
        "autoupdate": false,
        "share": "disabled",
        "provider": {"tollgate": {
            "npm": "@ai-sdk/anthropic",
            "options": {"baseURL": ask.openai(), "apiKey": ask.key},
            "models": {"claude-haiku-4-5": {}}}},
    });
    let file = home.join(".config/opencode/opencode.json");
    std::fs::write(file, config.to_string()).expect("a file");
    let mut opencode = program("js/node_modules/.bin/opencode");
    // A title of our own: else it asks the model for one, beside the prompt.
    opencode.args(["run", "--title", "note", "--", ask.prompt]);
    opencode
}

/// With the file in its chat, which it would edit without asking.
fn aider(model: &str, ask: &Ask<'_>) -> Command {
    let mut aider = program("py/bin/aider");
    aider
        .args(["--model", model, "--edit-format", "whole", "--yes-always"])
        .args(["--no-git", "--no-pretty", "--no-check-update"])
        .args(["--no-analytics", "--no-show-model-warnings"])
        .args(["--message", ask.prompt, "note.txt"]);
    aider
}

fn continue_dev(ask: &Ask<'_>, home: &Path) -> Command {
    let config = home.join(".continue/config.yaml");
    let text = format!(
        "name: Tollgate\nversion: 0.0.1\nschema: v1\nmodels:\n- name: gpt\n  provider: openai\n  model: gpt-5.5\n  \
         apiKey: {}\n  apiBase: {}\n  roles: [chat]\n",
        ask.key,
        ask.openai()
    );
    std::fs::write(&config, text).expect("a file");
    let mut cn = program("js/node_modules/.bin/cn");
    cn.args(["-p", "--auto", "--config"])
        .arg(config)
        .arg(ask.prompt);
    cn
}

fn cline(ask: &Ask<'_>) -> Command {
    let mut cline = Command::new("sh");
    cline
        .env_clear()
        .args(["-c", CLINE])
        .arg(installed("js/node_modules/.bin/cline"))
        .args([ask.key, &ask.openai(), ask.prompt]);
    cline
}

/// Tells Cline where the gateway is, and asks it.
const CLINE: &str = r#""$0" auth -p openai-compatible -k "$1" -b "$2" -m gpt-5.5 &&
exec "$0" -P openai-compatible -k "$1" -m gpt-5.5 "$3""#;

fn program(path: &str) -> Command {
    let mut command = Command::new(installed(path));
    command.env_clear();
    command
}

/// Where `tests/agents/setup` put it.
fn installed(path: &str) -> PathBuf {
    let home = std::env::var_os("TOLLGATE_CLIENTS").expect("run by tests/agents/run");
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join(home);
    let program = home.join(path);
    assert!(program.exists(), "no {path}: run tests/agents/setup");
    program
}

/// No agent is run where it could reach anybody.
fn only_loopback() {
    let interfaces = std::fs::read_to_string("/proc/net/dev").expect("Linux");
    let others: Vec<&str> = interfaces
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next())
        .map(str::trim)
        .filter(|name| *name != "lo")
        .collect();
    assert!(others.is_empty(), "a network is here: run tests/agents/run");
}

/// Ends what an agent left running: whatever has this home.
fn end_all(home: &Path) {
    let own = format!("HOME={}", home.display());
    for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment
            .split(|byte| *byte == 0)
            .any(|one| one == own.as_bytes())
        {
            let id = entry.file_name();
            let _gone = std::process::Command::new("kill")
                .arg("-9")
                .arg(id)
                .stderr(Stdio::null())
                .status();
        }
    }
}
