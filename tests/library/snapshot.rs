//! Reading and watching a real directory.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reconciler::adapter::files::{Directory, FILE_SIZE_MAX, Globs, Stage, commit};
use reconciler::adapter::watch::SourceWatch;
use reconciler::manifest::Snapshot;
use reconciler::port::Files as _;

fn directory(root: &Path) -> Directory {
    Directory::new(root, Globs::default())
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(root: &Path) -> Snapshot {
    directory(root).read_now().unwrap()
}

fn not_yet(root: &Path) -> String {
    directory(root).read_now().unwrap_err().reason
}

/// `path=text` for files, `path!reason` for what cannot be read.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    let files = snapshot.files.iter();
    let files = files.map(|(path, bytes)| format!("{path}={}", String::from_utf8_lossy(bytes)));
    let unreadable = snapshot.unreadable.iter();
    files.chain(unreadable.map(|(path, why)| format!("{path}!{}", why.reason))).collect()
}

#[test]
fn files_are_sorted_and_chosen_by_pattern() {
    let root = tempfile::tempdir().unwrap();
    for path in ["b.yaml", "a/z.yml", "a.json", "a/.x.yaml", ".git/c.yaml", "a/y.yaml~"] {
        put(root.path(), path, path);
    }
    for path in ["4913", ".b.yaml.swp", "#b.yaml#", "README.md", "c.yaml.orig"] {
        put(root.path(), path, path);
    }
    symlink("user@host.123", root.path().join(".#b.yaml")).unwrap();
    assert_eq!(shown(&read(root.path())), ["a.json=a.json", "a/z.yml=a/z.yml", "b.yaml=b.yaml"]);
}

#[test]
fn a_missing_source_is_not_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(not_yet(&dir.path().join("none")).contains("is not there"));
    put(dir.path(), "file", "");
    assert!(not_yet(&dir.path().join("file")).contains("is not a directory"));
    symlink("nowhere", dir.path().join("link")).unwrap();
    assert!(not_yet(&dir.path().join("link")).contains("is not there"));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(read(empty.path()), Snapshot::default(), "but an empty one is empty");
}

#[test]
fn what_cannot_be_read_stays_visible() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "secret.yaml", "x");
    let path = |name: &str| root.path().join(name);
    assert!(Command::new("mkfifo").arg(path("pipe.yaml")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(path("socket.yaml")).unwrap();
    fs::create_dir(path("dir.yaml")).unwrap();
    symlink("/dev/zero", path("device.yaml")).unwrap();
    symlink("nowhere", path("dangling.yaml")).unwrap();
    symlink("loop.yaml", path("loop.yaml")).unwrap();
    symlink(outside.path().join("secret.yaml"), path("out.yaml")).unwrap();
    symlink(outside.path(), path("outdir")).unwrap();
    symlink("..", path("dir.yaml/up")).unwrap();
    fs::File::create(path("large.yaml")).unwrap().set_len(FILE_SIZE_MAX + 1).unwrap();
    put(root.path(), "good.yaml", "good");
    let snapshot = read(root.path());
    let table = [
        ("dangling.yaml", "points at nothing"),
        ("device.yaml", "leads out of the source"),
        ("dir.yaml/up", "leads back to a directory above"),
        ("large.yaml", "larger than 32 MiB"),
        ("loop.yaml", "cannot be followed"),
        ("out.yaml", "leads out of the source"),
        ("outdir", "leads out of the source"),
        ("pipe.yaml", "not a regular file"),
        ("socket.yaml", "not a regular file"),
    ];
    for ((path, why), (expected, part)) in snapshot.unreadable.iter().zip(table) {
        assert_eq!(&**path, expected);
        assert!(why.reason.contains(part), "{path}: {why:?}");
        assert!(!why.remedy.is_empty(), "{path}: {why:?}");
    }
    assert_eq!(snapshot.unreadable.len(), table.len());
    assert_eq!(snapshot.files.len(), 1);
}

#[test]
fn closed_files_and_directories_are_unknown() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "closed.yaml", "x");
    put(root.path(), "dir/a.yaml", "x");
    put(root.path(), "good.yaml", "good");
    let close = |path: &str, mode| {
        fs::set_permissions(root.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    close("closed.yaml", 0);
    close("dir", 0);
    if fs::read(root.path().join("closed.yaml")).is_ok() {
        eprintln!("skipped: this user (root?) may read files of mode 000");
    } else {
        let unreadable = read(root.path()).unreadable;
        assert_eq!(
            unreadable.keys().map(|path| &**path).collect::<Vec<_>>(),
            ["closed.yaml", "dir"]
        );
    }
    close("dir", 0o700);
}

#[test]
fn links_inside_the_source_are_followed() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), ".worktrees/1/a.yaml", "one");
    symlink(".worktrees/1", root.path().join("current")).unwrap();
    symlink("current/a.yaml", root.path().join("b.yaml")).unwrap();
    assert_eq!(shown(&read(root.path())), ["b.yaml=one", "current/a.yaml=one"]);
}

/// What the kubelet does: a new directory, then `..data` swapped by rename.
fn config_map(root: &Path, version: &str) {
    let data = format!("..2026_{version}");
    put(root, &format!("{data}/a.yaml"), version);
    symlink(&data, root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    if !root.join("a.yaml").is_symlink() {
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    }
}

#[test]
fn a_config_map_swap_is_seen_whole() {
    let root = tempfile::tempdir().unwrap();
    config_map(root.path(), "1");
    let source = directory(root.path());
    assert_eq!(shown(&source.read_now().unwrap()), ["a.yaml=1"]);
    config_map(root.path(), "2");
    fs::remove_dir_all(root.path().join("..2026_1")).unwrap();
    assert_eq!(shown(&source.read_now().unwrap()), ["a.yaml=2"]);
    fs::remove_dir_all(root.path().join("..2026_2")).unwrap();
    let reason = source.read_now().unwrap_err().reason;
    assert_eq!(reason, "`..data` points at nothing yet");
}

#[test]
fn a_git_sync_swap_of_the_source_is_seen_whole() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "rev-1/a.yaml", "one");
    put(dir.path(), "rev-2/a.yaml", "two");
    put(dir.path(), "rev-2/b.yaml", "two");
    let link = dir.path().join("current");
    let swap = |to: &str| {
        symlink(to, dir.path().join("tmp")).unwrap();
        fs::rename(dir.path().join("tmp"), &link).unwrap();
    };
    swap("rev-1");
    assert_eq!(shown(&read(&link)), ["a.yaml=one"]);

    // While it is read: the reading is made again, never a mixture.
    let times = AtomicU32::new(0);
    let root = dir.path().to_owned();
    let source = directory(&link).with_hook(move |stage| {
        if stage == Stage::Read && times.fetch_add(1, Ordering::Relaxed) == 0 {
            symlink("rev-2", root.join("tmp")).unwrap();
            fs::rename(root.join("tmp"), root.join("current")).unwrap();
        }
    });
    assert_eq!(shown(&source.read_now().unwrap()), ["a.yaml=two", "b.yaml=two"]);
    fs::remove_dir_all(dir.path().join("rev-2")).unwrap();
    assert!(not_yet(&link).contains("is not there"));
}

/// Reads while `change` happens once, at `at`.
fn read_during(
    root: &Path,
    at: Stage,
    change: impl Fn(&Path) + Send + Sync + 'static,
) -> Vec<String> {
    let times = AtomicU32::new(0);
    let place = root.to_owned();
    let source = directory(root).with_hook(move |stage| {
        if stage == at && times.fetch_add(1, Ordering::Relaxed) == 0 {
            change(&place);
        }
    });
    shown(&source.read_now().unwrap())
}

#[test]
fn changes_during_a_reading_are_noticed() {
    type Change = fn(&Path);
    let table: [(&str, Change, &[&str]); 6] = [
        ("vanishes", |root| fs::remove_file(root.join("a.yaml")).unwrap(), &["b.yaml=b"]),
        ("appears", |root| put(root, "0.yaml", "0"), &["0.yaml=0", "a.yaml=a", "b.yaml=b"]),
        ("is written", |root| put(root, "a.yaml", "A"), &["a.yaml=A", "b.yaml=b"]),
        (
            "is replaced by rename",
            |root| {
                put(root, "tmp", "A");
                fs::rename(root.join("tmp"), root.join("a.yaml")).unwrap();
            },
            &["a.yaml=A", "b.yaml=b"],
        ),
        (
            "moves to an earlier name",
            |root| fs::rename(root.join("b.yaml"), root.join("0.yaml")).unwrap(),
            &["0.yaml=b", "a.yaml=a"],
        ),
        (
            "becomes a pipe",
            |root| {
                fs::remove_file(root.join("a.yaml")).unwrap();
                assert!(
                    Command::new("mkfifo").arg(root.join("a.yaml")).status().unwrap().success()
                );
            },
            &["b.yaml=b", "a.yaml!not a regular file"],
        ),
    ];
    for stage in [Stage::Listed, Stage::Read] {
        for (name, change, expected) in table {
            let root = tempfile::tempdir().unwrap();
            put(root.path(), "a.yaml", "a");
            put(root.path(), "b.yaml", "b");
            assert_eq!(read_during(root.path(), stage, change), expected, "{name} at {stage:?}");
        }
    }
}

#[test]
fn a_source_that_never_rests_is_not_yet() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a.yaml", "a");
    let place = root.path().to_owned();
    let times = AtomicU32::new(0);
    let source = directory(root.path()).with_hook(move |_| {
        put(&place, &format!("{}.yaml", times.fetch_add(1, Ordering::Relaxed)), "x");
    });
    let reason = source.read_now().unwrap_err().reason;
    assert!(reason.starts_with("the source keeps changing: "), "{reason}");
}

#[test]
fn equal_writes_of_one_tick_are_told_apart() {
    // Same size, perhaps the same time stamp: only waiting helps.
    let root = tempfile::tempdir().unwrap();
    let source = directory(root.path());
    for round in 0..20_u8 {
        put(root.path(), "a.yaml", &format!("{round:03}-"));
        source.read_now().unwrap();
        put(root.path(), "a.yaml", &format!("{round:03}+"));
        assert_eq!(shown(&source.read_now().unwrap()), [format!("a.yaml={round:03}+")]);
    }
}

#[test]
fn git_at_work_is_not_yet() {
    for busy in ["index.lock", "MERGE_HEAD", "rebase-merge", "rebase-apply"] {
        let repository = tempfile::tempdir().unwrap();
        let source = repository.path().join("deep/desired-state");
        put(&source, "a.yaml", "a");
        put(repository.path(), ".git/HEAD", "ref: refs/heads/main\n");
        assert_eq!(read(&source).files.len(), 1);
        put(repository.path(), &format!(".git/{busy}"), "");
        let reason = not_yet(&source);
        assert!(reason.starts_with("git operation in progress"), "{reason}");
        assert!(reason.contains(busy), "{reason}");
    }
}

#[test]
fn the_commit_is_read_without_git() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = ("1".repeat(40), "a".repeat(64));
    let source = dir.path().join("repo/desired-state");
    fs::create_dir_all(&source).unwrap();
    assert_eq!(commit(&source), None);
    put(dir.path(), "repo/.git/HEAD", "ref: refs/heads/main\n");
    assert_eq!(commit(&source), None, "before the first commit");
    put(dir.path(), "repo/.git/packed-refs", &format!("# pack-refs\n{one} refs/heads/main\n"));
    assert_eq!(commit(&source), Some(one.clone()));
    put(dir.path(), "repo/.git/refs/heads/main", &format!("{two}\n"));
    assert_eq!(commit(&source), Some(two.clone()), "the loose one is newer");
    put(dir.path(), "repo/.git/HEAD", &one);
    assert_eq!(commit(&source), Some(one.clone()), "detached");
    put(dir.path(), "repo/.git/HEAD", "ref: refs/../../../etc/passwd\n");
    assert_eq!(commit(&source), None);
    // A worktree, as git-sync makes them.
    put(dir.path(), "tree/.git", "gitdir: ../repo/.git/worktrees/t\n");
    put(dir.path(), "repo/.git/worktrees/t/HEAD", "ref: refs/heads/main\n");
    put(dir.path(), "repo/.git/worktrees/t/commondir", "../..\n");
    assert_eq!(commit(&dir.path().join("tree")), Some(two));
}

#[tokio::test]
async fn the_port_reads_too() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a.yaml", "a");
    assert_eq!(shown(&directory(root.path()).read().await.unwrap()), ["a.yaml=a"]);
}

/// Longest wait for a hint; events come in milliseconds, the timer in seconds.
const SOON: Duration = Duration::from_secs(8);
/// Time in which events that are on their way arrive.
const QUIET: Duration = Duration::from_millis(300);

async fn settle(watch: &mut SourceWatch) {
    while tokio::time::timeout(QUIET, watch.changed()).await.is_ok() {}
}

async fn hinted(watch: &mut SourceWatch, what: &str) {
    assert!(tokio::time::timeout(SOON, watch.changed()).await.is_ok(), "no hint: {what}");
    settle(watch).await;
}

#[tokio::test]
async fn changes_are_hinted_and_reading_is_not() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a.yaml", "a");
    let mut watch = SourceWatch::new(root.path(), Duration::from_hours(1));
    assert!(watch.has_events());
    settle(&mut watch).await;
    put(root.path(), "a.yaml", "A");
    hinted(&mut watch, "written").await;
    put(root.path(), "new/b.yaml", "b");
    hinted(&mut watch, "a new directory").await;
    put(root.path(), "new/b.yaml", "B");
    hinted(&mut watch, "a file in it").await;
    fs::remove_file(root.path().join("a.yaml")).unwrap();
    hinted(&mut watch, "removed").await;
    config_map(root.path(), "1");
    hinted(&mut watch, "a config map").await;
    config_map(root.path(), "2");
    hinted(&mut watch, "a config map again").await;
    read(root.path());
    let hint = tokio::time::timeout(Duration::from_secs(3), watch.changed()).await;
    assert!(hint.is_err(), "our own reading must not wake us");
}

#[tokio::test]
async fn a_replaced_source_is_watched_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("source");
    put(&root, "a.yaml", "a");
    let mut watch = SourceWatch::new(&root, Duration::from_hours(1));
    fs::rename(&root, dir.path().join("away")).unwrap();
    hinted(&mut watch, "renamed away").await;
    put(&root, "a.yaml", "b");
    hinted(&mut watch, "made again").await;
    put(&root, "a.yaml", "c");
    hinted(&mut watch, "written in the new one").await;
    assert!(watch.has_events());
}

#[tokio::test]
async fn a_swapped_link_is_watched_again() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "rev-1/a.yaml", "1");
    put(dir.path(), "rev-2/a.yaml", "2");
    let root = dir.path().join("current");
    symlink("rev-1", &root).unwrap();
    let mut watch = SourceWatch::new(&root, Duration::from_hours(1));
    settle(&mut watch).await;
    symlink("rev-2", dir.path().join("tmp")).unwrap();
    fs::rename(dir.path().join("tmp"), &root).unwrap();
    hinted(&mut watch, "swapped").await;
    put(dir.path(), "rev-2/a.yaml", "3");
    hinted(&mut watch, "written behind the new link").await;
}

#[tokio::test]
async fn a_source_that_comes_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("later");
    let mut watch = SourceWatch::new(&root, Duration::from_millis(200));
    assert!(!watch.has_events());
    hinted_by_timer(&mut watch).await;
    put(&root, "a.yaml", "a");
    tokio::time::timeout(SOON, async {
        while !watch.has_events() {
            watch.changed().await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("the new source was not found"));
}

async fn hinted_by_timer(watch: &mut SourceWatch) {
    assert!(tokio::time::timeout(SOON, watch.changed()).await.is_ok(), "polling gives hints");
}
