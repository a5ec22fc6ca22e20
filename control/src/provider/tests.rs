use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rmqc_core::config::Properties;
use rmqc_core::config::provider::{ProviderSettings, Providers};

/// What a value becomes, or what is said.
fn resolve(root: &Path, env: &[&str], value: &str) -> Result<String, String> {
    let env = env.iter().map(|name| (*name).to_owned()).collect();
    let providers = Providers::registered(&ProviderSettings { roots: vec![root.to_owned()], env });
    let resolved = providers.resolve(&Properties::from([("k".to_owned(), value.to_owned())]));
    match resolved.errors.first() {
        None => Ok(resolved.properties["k"].clone()),
        Some(error) => Err(error.to_string()),
    }
}

#[test]
fn files_give_their_keys_or_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::write(root.join("db.properties"), "user = u\npassword: p\\u0061ss\n").unwrap();
    fs::write(root.join("token"), "a b\nc\r\n").unwrap();
    fs::create_dir(root.join("sub")).unwrap();
    symlink(root.join("token"), root.join("sub/link")).unwrap();
    let at = root.display();
    for (value, expected) in [
        (format!("${{file:{at}/db.properties:password}}"), "pass"),
        (format!("${{file:{at}/db.properties:user}}:${{file:{at}/db.properties:password}}"), "u:pass"),
        (format!("${{dir:{at}:token}}"), "a b\nc"),
        (format!("${{dir:{at}/sub:link}}"), "a b\nc"),
    ] {
        assert_eq!(resolve(root, &[], &value).as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn nothing_outside_of_the_roots_is_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x"), "k=hunter2").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    symlink(outside.path().join("x"), root.join("link")).unwrap();
    symlink(outside.path(), root.join("way")).unwrap();
    let (at, out) = (root.display(), outside.path().display());
    for (value, said) in [
        (format!("${{file:{out}/x:k}}"), "is outside of what may be read"),
        (format!("${{file:{out}/missing:k}}"), "is outside of what may be read"),
        (format!("${{dir:{out}:x}}"), "is outside of what may be read"),
        (format!("${{file:{at}/link:k}}"), "is outside of what may be read"),
        (format!("${{dir:{at}:link}}"), "is outside of what may be read"),
        (format!("${{dir:{at}/way:x}}"), "is outside of what may be read"),
        (format!("${{file:{at}/../x:k}}"), "is not a whole path"),
        (format!("${{dir:{at}:../x}}"), "is no name of a file"),
        (format!("${{dir:{at}:..}}"), "is no name of a file"),
        ("${file:db.properties:k}".to_owned(), "is not a whole path"),
    ] {
        let error = resolve(root, &[], &value).unwrap_err();
        assert!(error.contains(said) && error.contains(&value) && !error.contains("hunter2"), "{value}: {error}");
    }
}

#[test]
fn what_is_missing_or_no_text_is_named_without_showing_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::write(root.join("bad.properties"), "k=hunter2\\u00zz").unwrap();
    fs::write(root.join("bytes"), b"hunter2\xff").unwrap();
    fs::write(root.join("long"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    fs::write(root.join("db.properties"), "password=hunter2").unwrap();
    let at = root.display();
    for (value, said) in [
        (format!("${{file:{at}/missing:k}}"), "cannot read"),
        (format!("${{file:{at}/bad.properties:k}}"), "is no properties file: line 1"),
        (format!("${{file:{at}/db.properties:pasword}}"), "did you mean password?"),
        (format!("${{file:{at}:k}}"), "is no plain file"),
        (format!("${{dir:{at}:bytes}}"), "is no text in UTF-8"),
        (format!("${{dir:{at}:long}}"), "is longer than 1048576 bytes"),
        ("${file:k}".to_owned(), "names no file"),
        ("${dir:k}".to_owned(), "names no directory"),
    ] {
        let error = resolve(root, &[], &value).unwrap_err();
        assert!(error.contains(said) && !error.contains("hunter2"), "{value}: {error}");
    }
}

#[test]
fn environment_variables_are_read_as_far_as_allowed() {
    let root = Path::new("/nonexistent");
    let path = std::env::var("PATH").unwrap();
    assert_eq!(resolve(root, &["*"], "${env:PATH}").as_ref(), Ok(&path));
    assert_eq!(resolve(root, &["PA*"], "x${env:PATH}"), Ok(format!("x{path}")));
    for (allowed, value, said) in [
        (&["PATHS", "H*"][..], "${env:PATH}", "may not be read; add it to configProviderEnv, which is PATHS,H*"),
        (&[], "${env:PATH}", "may not be read"),
        (&["*"], "${env:RMQC_NO_SUCH_VARIABLE}", "there is no environment variable RMQC_NO_SUCH_VARIABLE"),
        (&["*"], "${env:p:PATH}", "has no path"),
        (&["*"], "${env:A=B}", "is no name of a variable"),
    ] {
        let error = resolve(root, allowed, value).unwrap_err();
        assert!(error.contains(said), "{value}: {error}");
    }
}
