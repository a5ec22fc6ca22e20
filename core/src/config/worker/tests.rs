use super::*;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn home() -> Environment {
    Environment { home: Some("/home/u".to_owned()), ..Environment::default() }
}

fn build(conf: &[(&str, &str)]) -> Result<Parsed, ConfigErrors> {
    WorkerConfig::build(&properties(conf), &Properties::new(), &home())
}

#[test]
fn the_defaults_are_those_of_the_java_worker() {
    let config = build(&[]).unwrap().config;
    assert_eq!((config.http_port, config.http_host.as_str()), (8082, "127.0.0.1"));
    assert_eq!(config.worker_id, "DefaultWorker");
    assert_eq!(config.store_dir, PathBuf::from("/home/u/connectorStore"));
    assert_eq!(config.log_dir, PathBuf::from("/home/u/logs/rocketmqconnect"));
    assert_eq!(config.cluster, ClusterAddress::Embedded);
    assert_eq!((config.cores, config.pin, config.io_driver), (None, PinChoice::Auto, DriverChoice::Auto));
    assert_eq!(config.operation_timeout, Duration::from_millis(3000));
    assert!(config.mask_secrets && !config.rest_real_status);
}

#[test]
fn all_bad_values_are_named_at_once_and_none_is_replaced() {
    let errors = build(&[
        ("httpPort", "80x"),
        ("cores", "none"),
        ("ioDriver", "kqueue"),
        ("namesrvAddr", "nohost"),
        ("aclEnable", "true"),
    ])
    .unwrap_err();
    let mut keys: Vec<_> = errors.0.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["accessKey", "cores", "httpPort", "ioDriver", "namesrvAddr", "secretKey"]);
}

#[test]
fn flags_go_before_environment_before_file() {
    let env = Environment { io_driver: Some("epoll".to_owned()), ..home() };
    let conf = properties(&[("ioDriver", "uring"), ("cores", "3")]);
    let parsed = WorkerConfig::build(&conf, &properties(&[("cores", "2")]), &env).unwrap().config;
    assert_eq!((parsed.io_driver, parsed.cores), (DriverChoice::Epoll, Some(2)));
    let flagged = WorkerConfig::build(&conf, &properties(&[("ioDriver", "auto")]), &env).unwrap().config;
    assert_eq!(flagged.io_driver, DriverChoice::Auto);
}

#[test]
fn the_name_servers_of_the_environment_replace_embedded_but_not_an_address() {
    let env = Environment { name_servers: Some("ns:9876".to_owned()), ..home() };
    for (conf, expected, warned) in [
        (&[] as &[_], "ns:9876", 0),
        (&[("namesrvAddr", "embedded")], "ns:9876", 0),
        (&[("namesrvAddr", "a:1; b:2")], "a:1", 1),
    ] {
        let parsed = WorkerConfig::build(&properties(conf), &Properties::new(), &env).unwrap();
        let ClusterAddress::NameServers(addresses) = parsed.config.cluster else { panic!("embedded") };
        assert_eq!((addresses[0].as_str(), parsed.warnings.len()), (expected, warned));
    }
}

#[test]
fn allowed_origins_are_origins() {
    let given = "https://A.example, http://b:8080/ ,";
    let config = build(&[("httpAllowedOrigins", given)]).unwrap().config;
    assert_eq!(config.http_allowed_origins, ["https://a.example", "http://b:8080"]);
    for wrong in ["*", "a.example", "https://", "https://a/b", "https://*.a", "null"] {
        let errors = build(&[("httpAllowedOrigins", wrong)]).unwrap_err();
        assert_eq!(errors.0[0].key, "httpAllowedOrigins", "{wrong}");
    }
}

#[test]
fn unknown_and_dead_keys_are_told() {
    let parsed = build(&[("htpPort", "1"), ("rmqMaxRedeliveryTimes", "5"), ("zzzzzzzz", "1")]).unwrap();
    let all = parsed.warnings.join("\n");
    assert!(all.contains("did you mean httpPort?"), "{all}");
    assert!(all.contains("key rmqMaxRedeliveryTimes has no effect"), "{all}");
    assert!(all.contains("key zzzzzzzz is unknown and has no effect"), "{all}");
    assert_eq!(parsed.warnings.len(), 3);
}

#[test]
fn secrets_are_never_printed() {
    let parsed = build(&[("aclEnable", "true"), ("accessKey", "ak-77"), ("secretKey", "sk-88")]).unwrap();
    let shown = format!("{parsed:?}");
    assert!(!shown.contains("ak-77") && !shown.contains("sk-88"), "{shown}");
}

#[test]
fn without_home_the_directories_must_be_given() {
    let errors = WorkerConfig::build(&Properties::new(), &Properties::new(), &Environment::default()).unwrap_err();
    assert!(errors.to_string().contains("storePathRootDir"), "{errors}");
}

#[test]
fn a_collector_is_named_with_its_headers_which_stay_secret() {
    let conf =
        [("otlpEndpoint", "http://otel:4318/"), ("otlpHeaders", "x-token=a=b , x-tenant=me"), ("otlpInterval", "2000")];
    let parsed = build(&conf).unwrap();
    let otlp = parsed.config.otlp.clone().unwrap();
    assert_eq!((otlp.endpoint.as_str(), otlp.interval), ("http://otel:4318", Duration::from_secs(2)));
    let headers: Vec<_> = otlp.headers.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect();
    assert_eq!(headers, [("x-token", "a=b"), ("x-tenant", "me")]);
    assert!(!format!("{:?}", parsed.config).contains("a=b"));
    assert!(parsed.secrets.0.iter().any(|(secret, _)| secret == "a=b"));
    let safe = build(&[("otlpEndpoint", "https://otel:4318/")]).unwrap().config.otlp.unwrap();
    assert_eq!(safe.endpoint, "https://otel:4318");
    assert_eq!(build(&[]).unwrap().config.otlp, None);
    for (key, value) in [
        ("otlpEndpoint", "otel:4318"),
        ("otlpEndpoint", "https://"),
        ("otlpEndpoint", "grpc://otel:4317"),
        ("otlpEndpoint", "http://me:hush@otel"),
        ("otlpHeaders", "hush"),
        ("otlpHeaders", "x token=hush"),
        ("otlpInterval", "1"),
        ("otlpTraceSample", "1.5"),
        ("otlpTraceSample", "half"),
        ("otlpTraceSample", "NaN"),
    ] {
        let errors = build(&[(key, value)]).unwrap_err();
        assert_eq!(errors.0.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), [key], "{value}");
        assert!(!format!("{errors:?}").contains("hush"), "{errors:?}");
    }
}
