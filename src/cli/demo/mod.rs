//! `tollgate demo`: the main job on real HTTP, with a scripted provider and nothing else. Ends by itself; any step that
//! does not go as it should ends it with a failure.

mod provider;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::scan::examples;

/// Show the main job on this machine: a call, a blocked secret, a reached cap, the audit
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The folder with rules/ and prices.toml
    #[arg(long, default_value = "conf", value_name = "DIR")]
    conf: PathBuf,
}

/// The longest that a row may take from the log into the store that is shown.
const PATIENCE: Duration = Duration::from_secs(10);

/// # Errors
/// The first step that does not go as it should.
pub fn run(args: &DemoArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let arrived = provider::Arrived::default();
    let provider = runtime.block_on(provider::start(Arc::clone(&arrived)))?;
    let stage = Stage::set(&args.conf, &format!("http://{provider}"))?;
    let shown = show(&stage, &arrived, out);
    if shown.is_err() {
        writeln!(out, "\nthe gateway's log:\n{}", stage.log())?;
    }
    shown.map(|()| ExitCode::SUCCESS)
}

/// The demonstration itself, step by step.
fn show(stage: &Stage, arrived: &provider::Arrived, out: &mut dyn Write) -> anyhow::Result<()> {
    step(
        out,
        "Two teams' keys, a cap of $0.00055 a day on the second",
    )?;
    write!(out, "{}", stage.tollgate(&["apply", "directory.toml"])?)?;
    let (free, capped) = (stage.key("research")?, stage.key("interns")?);
    let gateway = stage.serve()?;

    step(out, "A streaming call passes, event by event")?;
    let answer = gateway.message(&free, r#""stream":true,"#, "Say hello.")?;
    writeln!(out, "{}", answer.body.trim_end())?;
    expect(&answer, 200, "message_stop")?;

    step(
        out,
        "A call with a planted AWS key is blocked: nothing leaves",
    )?;
    let secret = examples::expand("AKIA{base32:16}", 7).context("the template")?;
    let before = arrived.load(Ordering::SeqCst);
    let planted = format!("My credentials:\\n{}", secret.text);
    let answer = gateway.message(&free, "", &planted)?;
    writeln!(out, "{} {}", answer.status, answer.body)?;
    expect(&answer, 400, "aws_access_key")?;
    ensure!(
        !answer.body.contains(&secret.text),
        "the secret was repeated"
    );
    ensure!(arrived.load(Ordering::SeqCst) == before, "the secret left");

    step(out, "Two calls under a small cap: the second meets it")?;
    let first = gateway.message(&capped, "", "One.")?;
    writeln!(out, "{} {}", first.status, first.body)?;
    expect(&first, 200, "usage")?;
    let second = gateway.message(&capped, "", "Two.")?;
    writeln!(out, "{} {}", second.status, second.body)?;
    expect(&second, 402, "team/interns/day")?;

    step(out, "The audit: one row for each request, and no content")?;
    writeln!(out, "{}", stage.rows(4)?)?;
    step(out, "The budget")?;
    write!(out, "{}", stage.tollgate(&["budget", "show"])?)?;
    gateway.stop()?;
    step(out, "Point your agents at it")?;
    write!(out, "{AGENTS}")?;
    Ok(())
}

const AGENTS: &str = "\
Claude Code:  export ANTHROPIC_BASE_URL=http://127.0.0.1:8080 ANTHROPIC_API_KEY=tg_live_…
Codex:        in ~/.codex/config.toml
                model_provider = \"tollgate\"
                [model_providers.tollgate]
                name = \"Tollgate\"
                base_url = \"http://127.0.0.1:8080/v1\"
                env_key = \"TOLLGATE_KEY\"
                wire_api = \"responses\"
Start the real thing:  ANTHROPIC_API_KEY=… OPENAI_API_KEY=… tollgate serve --config conf/tollgate.toml
";

fn step(out: &mut dyn Write, title: &str) -> std::io::Result<()> {
    writeln!(out, "\n== {title}")
}

fn expect(answer: &Answer, status: u16, word: &str) -> anyhow::Result<()> {
    ensure!(
        answer.status == status && answer.body.contains(word),
        "expected {status} with `{word}`, got {} {}",
        answer.status,
        answer.body
    );
    Ok(())
}

/// A folder with a configuration of its own; removed at the end.
struct Stage {
    dir: PathBuf,
}

impl Stage {
    fn set(conf: &Path, provider: &str) -> anyhow::Result<Self> {
        let conf = fs::canonicalize(conf)
            .with_context(|| format!("{}: run this from the project's folder", conf.display()))?;
        let dir = std::env::temp_dir().join(format!("tollgate-demo-{}", std::process::id()));
        fs::create_dir(&dir)?;
        let stage = Self { dir };
        let conf = conf.display();
        stage.write(
            "tollgate.toml",
            &format!(
                "[listen]\ndata = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[state]\ndir = \"state\"\n\
                 [provider.anthropic]\ndialect = \"anthropic\"\naddresses = [\"{provider}\"]\n\
                 credential = \"env:DEMO_PROVIDER_KEY\"\n[prices]\nfile = \"{conf}/prices.toml\"\n\
                 [scan]\nrules = [\"{conf}/rules/*.toml\"]\n[scan.actions]\naws_access_key = \"block\"\n"
            ),
        )?;
        stage.write(
            "directory.toml",
            "organisation = \"acme\"\n[[team]]\nname = \"research\"\n[[team.budget]]\nwindow = \"month\"\nlimit = \"100.00\"\n\
             [[team]]\nname = \"interns\"\n[[team.budget]]\nwindow = \"day\"\nlimit = \"0.00055\"\n",
        )?;
        Ok(stage)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.dir.join(name), text).with_context(|| name.to_owned())
    }

    fn command(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(args)
            .current_dir(&self.dir)
            .env("TOLLGATE_CONFIG", self.dir.join("tollgate.toml"))
            .env("DEMO_PROVIDER_KEY", "the-providers-own-key")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// What a subcommand prints.
    fn tollgate(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(args)?.output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tollgate {args:?}: {told}");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn key(&self, team: &str) -> anyhow::Result<String> {
        let made: Value =
            serde_json::from_str(&self.tollgate(&["key", "create", "--team", team, "--json"])?)?;
        Ok(made["key"].as_str().context("no key was made")?.to_owned())
    }

    fn serve(&self) -> anyhow::Result<Gateway> {
        let log = fs::File::create(self.dir.join("log"))?;
        let mut child = self
            .command(&["serve"])?
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = serde_json::from_str(&line)
            .ok()
            .and_then(|told: Value| told["data"].as_str().map(str::to_owned));
        let gateway = Gateway {
            child,
            address: address.unwrap_or_default(),
        };
        ensure!(!gateway.address.is_empty(), "the gateway did not start");
        Ok(gateway)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The audit as it is shown, once it has so many requests.
    fn rows(&self, requests: usize) -> anyhow::Result<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let rows = self.tollgate(&["audit", "export", "--format", "ndjson"])?;
            let there = rows
                .lines()
                .filter(|row| row.contains(r#""kind":"request""#))
                .count();
            if there == requests {
                return self.tollgate(&["audit", "tail"]);
            }
            if Instant::now() > until {
                bail!("the audit has {there} requests, and {requests} were made");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A folder in the temporary directory that stays behind does no harm.
        let _removed = fs::remove_dir_all(&self.dir);
    }
}

/// The gateway of the demonstration.
struct Gateway {
    child: Child,
    address: String,
}

struct Answer {
    status: u16,
    body: String,
}

impl Gateway {
    /// Sends a message with curl.
    fn message(&self, key: &str, options: &str, text: &str) -> anyhow::Result<Answer> {
        let body = format!(
            r#"{{"model":"claude-haiku-4-5","max_tokens":50,{options}"messages":[{{"role":"user","content":"{text}"}}]}}"#
        );
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--no-buffer",
                "--max-time",
                "30",
            ])
            .args(["--write-out", "\n%{http_code}", "--data", &body])
            .args(["--header", "content-type: application/json", "--header"])
            .arg(format!("x-api-key: {key}"))
            .arg(format!("http://{}/v1/messages", self.address))
            .output()
            .context("curl")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "curl: {told}");
        let text = String::from_utf8(output.stdout)?;
        let (body, status) = text.rsplit_once('\n').context("no status")?;
        Ok(Answer {
            status: status.parse()?,
            body: body.to_owned(),
        })
    }

    /// Stops it as an operator would, and waits for its end.
    fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the gateway ended with {status}");
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It is ours, and about to be nobody's.
            let _killed = self.child.kill();
        }
    }
}
