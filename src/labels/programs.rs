//! Programs that run whatever they are told to, and where they live.

/// Programs that take a script and may take code instead. A pattern for one must name the script
/// right after it; what follows goes to the script.
const INTERPRETERS: &[&str] = &[
    "ash",
    "bash",
    "csh",
    "dash",
    "elvish",
    "expect",
    "fish",
    "guile",
    "irb",
    "jruby",
    "julia",
    "ksh",
    "lua",
    "luajit",
    "mksh",
    "node",
    "nodejs",
    "nu",
    "osascript",
    "perl",
    "php",
    "pwsh",
    "pypy",
    "python",
    "pythonw",
    "raku",
    "rbash",
    "rscript",
    "ruby",
    "sh",
    "tclsh",
    "tcsh",
    "wish",
    "yash",
    "zsh",
];

/// Programs that run what their arguments name, wherever it stands among them. A pattern for one
/// has no wildcard at all.
const LAUNCHERS: &[&str] = &[
    "at",
    "awk",
    "batch",
    "bun",
    "bunx",
    "bundle",
    "busybox",
    "cargo",
    "chroot",
    "chrt",
    "choom",
    "crontab",
    "deno",
    "docker",
    "doas",
    "ed",
    "emacs",
    "env",
    "ex",
    "eval",
    "exec",
    "find",
    "firejail",
    "flock",
    "gawk",
    "gdb",
    "git",
    "go",
    "groovy",
    "ionice",
    "ip",
    "java",
    "jshell",
    "kubectl",
    "less",
    "logsave",
    "ltrace",
    "make",
    "gmake",
    "man",
    "mawk",
    "more",
    "nawk",
    "nc",
    "ncat",
    "nice",
    "nix",
    "nohup",
    "npm",
    "npx",
    "nsenter",
    "openssl",
    "parallel",
    "pip",
    "pipx",
    "pkexec",
    "pnpm",
    "podman",
    "poetry",
    "proot",
    "rlwrap",
    "rsync",
    "run-parts",
    "runuser",
    "rust-gdb",
    "script",
    "scp",
    "screen",
    "sed",
    "gsed",
    "setarch",
    "setpriv",
    "setsid",
    "sftp",
    "socat",
    "sqlite",
    "ssh",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "tar",
    "gtar",
    "taskset",
    "time",
    "timeout",
    "tmux",
    "toybox",
    "uv",
    "uvx",
    "unshare",
    "valgrind",
    "vi",
    "vim",
    "nvim",
    "view",
    "watch",
    "xargs",
    "xterm",
    "yarn",
    "zip",
];

/// What a program can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// Only what it is for, as far as is known here.
    Own,
    /// Code, unless a script comes first.
    Interprets,
    /// Other programs.
    Launches,
}

/// What is known of a program, by its name or path.
pub(super) fn power(program: &str) -> Power {
    let name = program.rsplit('/').next().unwrap_or(program).to_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    // `python3.12`, `perl5.36`, `lua-5.4`.
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let among = |list: &[&str]| list.iter().any(|known| *known == name || *known == plain);
    if among(INTERPRETERS) {
        Power::Interprets
    } else if among(LAUNCHERS) {
        Power::Launches
    } else {
        Power::Own
    }
}

/// Whether a directory is one where such programs are kept.
pub(super) fn holds_programs(dir: &str) -> bool {
    let last = dir.split('/').rfind(|part| !matches!(*part, "" | "."));
    match last {
        Some(last) => matches!(last, "bin" | "sbin" | "libexec" | "lib"),
        // The root itself; `./` is the manifest's own directory.
        None => dir.starts_with('/'),
    }
}
