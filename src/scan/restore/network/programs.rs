//! Programs and functions that send what they are given, by their names.

/// Programs that send; these names hardly stand for anything else. In lower case.
const PROGRAMS: [&str; 83] = [
    "aria2c",
    "autossh",
    "axel",
    "axios",
    "aiohttp",
    "azcopy",
    "bitsadmin",
    "cloudflared",
    "croc",
    "curl",
    "curlie",
    "delv",
    "dig",
    "elinks",
    "ftp",
    "getent",
    "grpcurl",
    "gsutil",
    "httpie",
    "hurl",
    "invoke-restmethod",
    "invoke-webrequest",
    "irm",
    "iwr",
    "kafkacat",
    "kcat",
    "kdig",
    "ldapadd",
    "ldapmodify",
    "ldapsearch",
    "lftp",
    "lwp-request",
    "lynx",
    "mail",
    "mailx",
    "mosh",
    "mosquitto_pub",
    "msmtp",
    "mutt",
    "nc",
    "ncat",
    "netcat",
    "ngrok",
    "nslookup",
    "pastebinit",
    "ping",
    "ping6",
    "plink",
    "pscp",
    "psftp",
    "rclone",
    "resolve-dnsname",
    "resolvectl",
    "rsync",
    "s3cmd",
    "s5cmd",
    "s_client",
    "scp",
    "send-mailmessage",
    "sendmail",
    "sftp",
    "slackcat",
    "smbclient",
    "snmpset",
    "socat",
    "ssh",
    "ssh-copy-id",
    "start-bitstransfer",
    "swaks",
    "systemd-resolve",
    "telnet",
    "test-netconnection",
    "tftp",
    "traceroute",
    "tracepath",
    "twine",
    "w3m",
    "websocat",
    "wget",
    "whois",
    "wscat",
    "xh",
    "xhs",
];
/// Programs that send, with names that are words as well: they count where a command begins.
const COMMANDS: [&str; 22] = [
    "aws", "az", "bq", "doctl", "finger", "firebase", "fly", "flyctl", "gcloud", "gh", "glab",
    "heroku", "http", "https", "hub", "links", "nats", "netlify", "stripe", "twilio", "vercel",
    "wrangler",
];
/// Programs that send to the host that this option names, and work on this machine without one. Lower case, the option too.
const CLIENTS: [(&str, &str); 15] = [
    ("clickhouse-client", "-h"),
    ("logger", "-n"),
    ("mariadb", "-h"),
    ("mongo", "-h"),
    ("mongodump", "-h"),
    ("mongosh", "-h"),
    ("mysql", "-h"),
    ("mysqladmin", "-h"),
    ("mysqldump", "-h"),
    ("pg_dump", "-h"),
    ("pg_restore", "-h"),
    ("psql", "-h"),
    ("redis-cli", "-h"),
    ("sqlcmd", "-s"),
    ("valkey-cli", "-h"),
];
/// After these words another command begins, or somewhere behind them.
const WRAPPERS: [&str; 35] = [
    "!", "{", "bash", "bunx", "busybox", "cmd", "command", "do", "docker", "doas", "else", "env",
    "eval", "exec", "if", "kubectl", "nice", "nohup", "npx", "parallel", "podman", "setsid", "sh",
    "stdbuf", "sudo", "then", "time", "timeout", "until", "uvx", "watch", "while", "wsl", "xargs",
    "zsh",
];
/// What code writes when it sends.
const CODE: [&str; 69] = [
    "/dev/tcp/",
    "/dev/udp/",
    "/inet/tcp/",
    "/inet/udp/",
    "requests.",
    "urllib",
    "urlopen",
    "httpx.",
    "http.client",
    "http.request",
    "https.request",
    "http.get",
    "https.get",
    "http.post",
    "http.newrequest",
    "http2.connect",
    "require(http",
    "require(node:http",
    "require(net)",
    "require(tls)",
    "require(dgram)",
    "require(dns",
    "node:http",
    "node:net",
    "node:tls",
    "node:dgram",
    "node:dns",
    "net/http",
    "net::http",
    "net.connect",
    "net.createconnection",
    "net.dial",
    "tls.connect",
    "dns.lookup",
    "dns.resolve",
    "fetch(",
    "got(",
    "got.post",
    "superagent",
    "undici",
    "sendbeacon",
    "eventsource(",
    "websocket(",
    "xmlhttprequest",
    "file_get_contents(http",
    "fopen(http",
    "fsockopen",
    "stream_socket_client",
    "curl_exec",
    "gethostbyname",
    "getaddrinfo",
    "io::socket",
    "tcpsocket",
    "udpsocket",
    "lwp::",
    "http::tiny",
    "open-uri",
    "smtplib",
    "ftplib",
    "open_connection(",
    "paramiko",
    "boto3",
    "reqwest::",
    "nodemailer",
    "socket.",
    "socket(",
    "webclient",
    "httpclient",
    "webhook",
];

/// Whether a text in lower case names a program or a function that sends.
pub fn names_sender(text: &str) -> bool {
    CODE.iter().any(|part| text.contains(part))
        || words(text).any(|word| PROGRAMS.contains(&word.trim_end_matches(".exe")))
        || text
            .split(['\n', ';', '|', '&', '(', '`'])
            .any(|command| sends(&command.split_whitespace().collect::<Vec<_>>()))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
}

/// Whether one command sends, given its words.
fn sends(command: &[&str]) -> bool {
    let is_setting = |word: &&str| word.contains('=') && !word.starts_with('-');
    let first = command.iter().take_while(|word| is_setting(word)).count();
    let Some(program) = command.get(first) else {
        return false;
    };
    let programs = if WRAPPERS.contains(&name(program)) {
        command.get(first..)
    } else {
        command.get(first..=first)
    };
    programs.unwrap_or_default().iter().any(|word| {
        let name = name(word);
        COMMANDS.contains(&name)
            || (name == "host" && looks_up(command))
            || CLIENTS
                .iter()
                .any(|(client, option)| *client == name && names_host(command, option))
    })
}

/// A program's name without its folder.
fn name(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    name.trim_end_matches(".exe")
}

/// `host` is a word of many files; what it looks up has a dot, or is a variable.
fn looks_up(command: &[&str]) -> bool {
    command.iter().any(|word| word.contains(['.', '$']))
}

/// Whether an argument (or `PGHOST=`) names a host that is not this machine.
fn names_host(command: &[&str], option: &str) -> bool {
    let next = command.iter().skip(1).copied().map(Some).chain([None]);
    command.iter().zip(next).any(|(word, next)| {
        let named = if *word == option || is_host(word) {
            next.filter(|next| !next.starts_with('-'))
        } else if let Some((name, value)) = word.split_once('=') {
            is_host(name).then_some(value)
        } else {
            word.strip_prefix(option)
        };
        named.is_some_and(|host| !is_here(host))
    })
}

fn is_host(option: &str) -> bool {
    matches!(
        option,
        "--host" | "--hostname" | "--server" | "host" | "pghost"
    )
}

fn is_here(host: &str) -> bool {
    let host = host.split([':', ',']).next().unwrap_or(host);
    host.is_empty()
        || host == "localhost"
        || host == "["
        || host.starts_with("127.")
        || host.starts_with(['/', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_where_a_command_begins() {
        for command in [
            "gh gist create -d x f",
            "cd a && gh api /x -f a=x",
            "a=b sudo -u me glab api x",
            "aws s3 cp x s3://b",
            "x=$(az rest --body x)",
            "bash -c aws sns publish",
            "timeout 5 host x.e.io",
            "npx vercel env add x",
            "a\nhttp post x.example k=x",
            "/usr/bin/gcloud pubsub topics publish t",
        ] {
            assert!(names_sender(command), "{command}");
        }
        for command in [
            "grep x src/aws lib/gh.rs",
            "echo host all all md5",
            "host all all md5",
            "ls # see http handlers",
            "cat https.md",
        ] {
            assert!(!names_sender(command), "{command}");
        }
    }

    #[test]
    fn a_client_sends_where_it_names_another_host() {
        for command in [
            "psql -h db.e.io -c select",
            "pghost=e.io psql -c select",
            "mysql -he.io -px",
            "psql host=e.io password=x",
            "redis-cli --host=e.io set k x",
            "sqlcmd -s e.io -p x",
            "logger -n e.io x",
            "docker exec -it a psql --host db.e.io",
        ] {
            assert!(names_sender(command), "{command}");
        }
        for command in [
            "psql -c select",
            "psql -h localhost -c select",
            "pghost=127.0.0.1 psql",
            "mysql -h 127.0.0.1 -px",
            "psql -h /var/run/postgresql",
            "redis-cli -n 1 set k x",
            "pg_dump -s -n public app",
            "logger x",
        ] {
            assert!(!names_sender(command), "{command}");
        }
    }

    #[test]
    fn calls_of_code_are_known() {
        for code in [
            "require(https).get({host:e.io,path:/x})",
            "https.get(`https://e.io/${k}`)",
            "file_get_contents(http://e.io/?.urlencode(x));",
            "io::socket::inet->new(e.io:80)->send(x)",
        ] {
            assert!(names_sender(code), "{code}");
        }
        assert!(!names_sender("file_get_contents(a.txt)"));
    }
}
