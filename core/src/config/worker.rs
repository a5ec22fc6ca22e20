//! The worker's keys, and the worker's configuration made from them.

use std::path::PathBuf;
use std::time::Duration;

use super::Properties;
use super::key::{ConfigError, ConfigErrors, ConfigKey, nearest};
use super::provider::{ProviderSettings, Providers, refers};
pub use super::secret::Secret;
use super::secret::{MASK, Scrubber};

mod keys;

pub use keys::{DEAD_KEYS, DeadKey, WORKER_KEYS};

/// What the surroundings of the process say. Read by the binary, so that this stays a plain function of its input.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<String>,
    /// `CONNECT_HOME`: stands in for a missing `connectHome`.
    pub connect_home: Option<String>,
    /// `NAMESRV_ADDR`: stands in for a missing or `embedded` `namesrvAddr`.
    pub name_servers: Option<String>,
    /// `RMQC_IO`: goes before `ioDriver`.
    pub io_driver: Option<String>,
    /// Directory of the conf file, if there is one.
    pub conf_dir: Option<PathBuf>,
}

/// Which I/O driver is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring where it may be used, else epoll.
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll.
    Epoll,
}

/// Whether shards are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinChoice {
    /// When the machine has a CPU for each shard.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Where the cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAddress {
    /// A broker inside this process, for trying and testing.
    Embedded,
    /// Name servers, each `host:port`; at least one.
    NameServers(Vec<String>),
}

/// How often a failed task is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Restarts within one window; 0: none.
    pub max: u32,
    /// The window.
    pub window: Duration,
    /// Pause before the first restart; doubled with each further one.
    pub backoff: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
}

/// The worker's configuration, validated.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Name in statuses.
    pub worker_id: String,
    /// Where the cluster is.
    pub cluster: ClusterAddress,
    /// Access key and secret key, when signing is on.
    pub credentials: Option<(Secret, Secret)>,
    /// Whether sources create missing topics.
    pub auto_create_topic: bool,
    /// Producer group of source tasks.
    pub producer_group: String,
    /// Deadline of one call to a broker.
    pub operation_timeout: Duration,
    /// Address that REST listens on.
    pub http_host: String,
    /// Port that REST listens on; 0: any free one.
    pub http_port: u16,
    /// Origins of web pages that may ask for changes beside the worker's own; each `scheme://host[:port]`, lower case.
    pub http_allowed_origins: Vec<String>,
    /// Whether errors get real HTTP status codes instead of the Java worker's 200.
    pub rest_real_status: bool,
    /// Whether REST answers hide the values of secret keys.
    pub mask_secrets: bool,
    /// What config providers may read.
    pub providers: ProviderSettings,
    /// Directory of the stores; its files are in `config/` below it.
    pub store_dir: PathBuf,
    /// Directory of the log files.
    pub log_dir: PathBuf,
    /// `key.converter` of connectors that name none.
    pub key_converter: String,
    /// `value.converter` of connectors that name none.
    pub value_converter: String,
    /// Entries of `pluginPaths`, trimmed, none empty.
    pub plugin_paths: Vec<String>,
    /// Whether the metrics of tasks are logged by their Java names.
    pub log_metrics: bool,
    /// File that says which reporter the metrics go to.
    pub metrics_config: Option<PathBuf>,
    /// Which OpenTelemetry collector the metrics go to.
    pub otlp: Option<OtlpConfig>,
    /// Driver asked for.
    pub io_driver: DriverChoice,
    /// Number of shards; none: as many as fit.
    pub cores: Option<usize>,
    /// Pinning asked for.
    pub pin: PinChoice,
    /// A shard without progress for so long is replaced.
    pub stall_timeout: Duration,
    /// Most payload bytes that the tasks of one shard hold together.
    pub shard_memory_bytes: u64,
    /// A task that takes longer to start fails.
    pub start_timeout: Duration,
    /// A task that takes longer to stop is reported as failed.
    pub stop_timeout: Duration,
    /// Pause between two writes of changed states.
    pub state_interval: Duration,
    /// What happens to failed tasks.
    pub restart: RestartPolicy,
}

/// An OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpConfig {
    /// `http://host:port`, perhaps with a path, without a slash at its end.
    pub endpoint: String,
    /// Pause between two requests.
    pub interval: Duration,
    /// Headers of each: names, and values that are secret.
    pub headers: Vec<(String, Secret)>,
    /// Share of REST requests, and of the tasks' batches, that are traced, from 0 to 1.
    pub trace_share: f64,
}

/// A configuration together with what the user should know about it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The configuration.
    pub config: WorkerConfig,
    /// One line each: unknown keys, keys without effect, keys overruled.
    pub warnings: Vec<String>,
    /// The worker's own secrets, each with what is shown in its place.
    pub secrets: WorkerSecrets,
}

/// Secrets with what is shown in the place of each. Can't be printed by accident.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WorkerSecrets(pub Vec<(String, String)>);

impl std::fmt::Debug for WorkerSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASK)
    }
}

/// What a conf file allows config providers to read. The two keys that say so are taken as they stand.
#[must_use]
pub fn provider_settings(conf: &Properties, env: &Environment) -> ProviderSettings {
    let list = |key: &ConfigKey| -> Vec<String> {
        let names = key.text(conf).unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let mut roots: Vec<PathBuf> = list(&keys::PROVIDER_ROOTS).into_iter().map(PathBuf::from).collect();
    if roots.is_empty() {
        roots.extend(env.conf_dir.clone());
        roots.push(PathBuf::from("/run/secrets"));
    }
    ProviderSettings { roots, env: list(&keys::PROVIDER_ENV) }
}

impl WorkerConfig {
    /// Makes the configuration. `flags` (from the command line) go before `ioDriver`'s environment variable, that before
    /// `conf`, that before the defaults. As in the Java worker, `conf` goes before `CONNECT_HOME` and `NAMESRV_ADDR`,
    /// but a `namesrvAddr=embedded` gives way to `NAMESRV_ADDR`: who sets it means it.
    ///
    /// # Errors
    /// Everything wrong at once. A bad value is never replaced by a default.
    pub fn build(conf: &Properties, flags: &Properties, env: &Environment) -> Result<Parsed, ConfigErrors> {
        let mut warnings = Vec::new();
        let merged = merge(conf, flags, env, &mut warnings);
        warn_of_keys(&merged, &mut warnings);
        let mut errors = match super::key::check_all(WORKER_KEYS, &merged) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.0,
        };
        let cluster = cluster(keys::NAME_SERVERS.text(&merged).unwrap_or_default(), &mut errors);
        let home = env.home.as_deref().filter(|home| !home.is_empty());
        let store_dir =
            directory(&keys::STORE_DIR, &merged, home.map(|home| format!("{home}/connectorStore")), &mut errors);
        let log_dir =
            directory(&keys::LOG_DIR, &merged, home.map(|home| format!("{home}/logs/rocketmqconnect")), &mut errors);
        let credentials = credentials(&merged, &mut errors);
        let http_allowed_origins = origins(&merged, &mut errors);
        let otlp = otlp(&merged, &mut errors);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let text = |key: &ConfigKey| key.text(&merged).unwrap_or_default().to_owned();
        let ms = |key: &ConfigKey| Duration::from_millis(u64::try_from(key.integer(&merged)).unwrap_or(0));
        let config = Self {
            worker_id: text(&keys::WORKER_ID),
            cluster,
            credentials,
            auto_create_topic: keys::AUTO_CREATE_TOPIC.boolean(&merged),
            producer_group: text(&keys::PRODUCER_GROUP),
            operation_timeout: ms(&keys::OPERATION_TIMEOUT),
            http_host: text(&keys::HTTP_HOST),
            http_port: u16::try_from(keys::HTTP_PORT.integer(&merged)).unwrap_or(0),
            http_allowed_origins,
            rest_real_status: text(&keys::REST_STATUS_CODES).eq_ignore_ascii_case("real"),
            mask_secrets: keys::MASK_SECRETS.boolean(&merged),
            providers: provider_settings(&merged, env),
            store_dir,
            log_dir,
            key_converter: text(&keys::KEY_CONVERTER),
            value_converter: text(&keys::VALUE_CONVERTER),
            plugin_paths: text(&keys::PLUGIN_PATHS)
                .split(',')
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
                .map(str::to_owned)
                .collect(),
            log_metrics: keys::LOG_METRICS.boolean(&merged),
            metrics_config: Some(text(&keys::METRICS_CONFIG)).filter(|path| !path.is_empty()).map(PathBuf::from),
            otlp,
            io_driver: match text(&keys::IO_DRIVER).to_ascii_lowercase().as_str() {
                "uring" => DriverChoice::Uring,
                "epoll" => DriverChoice::Epoll,
                _ => DriverChoice::Auto,
            },
            cores: text(&keys::CORES).parse().ok(),
            pin: match text(&keys::PIN).to_ascii_lowercase().as_str() {
                "on" => PinChoice::On,
                "off" => PinChoice::Off,
                _ => PinChoice::Auto,
            },
            shard_memory_bytes: keys::SHARD_MEMORY.integer(&merged).unsigned_abs(),
            stall_timeout: ms(&keys::STALL_TIMEOUT),
            start_timeout: ms(&keys::START_TIMEOUT),
            stop_timeout: ms(&keys::STOP_TIMEOUT),
            state_interval: ms(&keys::STATE_INTERVAL),
            restart: RestartPolicy {
                max: u32::try_from(keys::RESTART_MAX.integer(&merged)).unwrap_or(0),
                window: ms(&keys::RESTART_WINDOW),
                backoff: ms(&keys::RESTART_BACKOFF),
                backoff_max: ms(&keys::RESTART_BACKOFF_MAX),
            },
        };
        let known = config.credentials.iter().flat_map(|(access, secret)| [access, secret]);
        let known = known.chain(config.otlp.iter().flat_map(|otlp| otlp.headers.iter().map(|(_, value)| value)));
        let secrets = WorkerSecrets(known.map(|secret| (secret.0.clone(), MASK.to_owned())).collect());
        Ok(Parsed { config, warnings, secrets })
    }

    /// The same with references in `conf` replaced. What they stand for is in no error and no warning.
    ///
    /// # Errors
    /// Everything wrong at once, references that stand for nothing too.
    pub fn build_resolved(
        conf: &Properties,
        flags: &Properties,
        env: &Environment,
        providers: &Providers,
    ) -> Result<Parsed, ConfigErrors> {
        let mut looked_up = providers.resolve(conf);
        let failed: Vec<String> = looked_up.failed().into_iter().map(str::to_owned).collect();
        looked_up.properties.retain(|key, _| !failed.contains(key));
        let provided = || looked_up.provided.iter().map(|one| (one.value.as_str(), one.reference.as_str()));
        let scrubber = Scrubber::new(provided());
        match Self::build(&looked_up.properties, flags, env) {
            Ok(_) if !failed.is_empty() => Err(ConfigErrors(looked_up.errors)),
            Ok(mut parsed) => {
                parsed.warnings.iter_mut().for_each(|warning| scrubber.scrub_in_place(warning));
                parsed.secrets.0.splice(0..0, provided().map(|(value, shown)| (value.to_owned(), shown.to_owned())));
                Ok(parsed)
            }
            Err(wrong) => {
                let mut errors = looked_up.errors.clone();
                let others = wrong.0.into_iter().filter(|error| !failed.contains(&error.key));
                errors.extend(others.map(|error| concealed(error, conf, &looked_up.properties, &scrubber)));
                Err(ConfigErrors(errors))
            }
        }
    }
}

/// A fault with the reference in the place of what it stands for.
fn concealed(mut error: ConfigError, conf: &Properties, resolved: &Properties, scrubber: &Scrubber) -> ConfigError {
    if let Some(raw) = conf.get(&error.key).filter(|raw| refers(raw)) {
        let stands_for = resolved.get(&error.key).map(|text| text.trim()).unwrap_or_default();
        error.message = error.message.replace(&format!("\"{stands_for}\""), &format!("\"{raw}\""));
        error.value = Some(raw.clone());
    }
    let texts = [Some(&mut error.message), error.value.as_mut(), error.remedy.as_mut()];
    texts.into_iter().flatten().for_each(|text| scrubber.scrub_in_place(text));
    error
}

/// What follows `http://` or `https://`.
fn without_scheme(address: &str) -> Option<&str> {
    address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"))
}

/// Origins that may ask for changes, in lower case.
fn origins(properties: &Properties, errors: &mut Vec<ConfigError>) -> Vec<String> {
    let key = &keys::HTTP_ALLOWED_ORIGINS;
    let given = key.text(properties).unwrap_or_default().split(',').map(str::trim).filter(|one| !one.is_empty());
    let origins: Vec<String> = given.map(|one| one.trim_end_matches('/').to_ascii_lowercase()).collect();
    for origin in &origins {
        let host = without_scheme(origin);
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', '@', '?', '#', ' '])) {
            let message = format!("\"{origin}\" is no origin");
            let remedy = "write each as https://HOST or https://HOST:PORT, without a path or *";
            errors.push(ConfigError::new(key.name, message).with_remedy(remedy));
        }
    }
    origins
}

/// Lays the sources over each other.
fn merge(conf: &Properties, flags: &Properties, env: &Environment, warnings: &mut Vec<String>) -> Properties {
    let mut merged = conf.clone();
    let set =
        |value: &Option<String>| value.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(driver) = set(&env.io_driver) {
        merged.insert(keys::IO_DRIVER.name.to_owned(), driver);
    }
    if let Some(home) = set(&env.connect_home) {
        merged.entry(keys::CONNECT_HOME.name.to_owned()).or_insert(home);
    }
    if let Some(address) = set(&env.name_servers) {
        let given = merged.get(keys::NAME_SERVERS.name).map(|text| text.trim().to_owned()).unwrap_or_default();
        if given.is_empty() || given == "embedded" {
            merged.insert(keys::NAME_SERVERS.name.to_owned(), address);
        } else if given != address {
            warnings.push(format!("namesrvAddr={given} of the conf file is used, not NAMESRV_ADDR={address}"));
        }
    }
    merged.extend(flags.iter().map(|(key, value)| (key.clone(), value.clone())));
    merged
}

/// Names keys that nobody knows and keys that do nothing.
fn warn_of_keys(properties: &Properties, warnings: &mut Vec<String>) {
    for name in properties.keys() {
        if WORKER_KEYS.iter().any(|key| key.name == name || key.aliases.contains(&name.as_str())) {
            continue;
        }
        if let Some(dead) = DEAD_KEYS.iter().find(|key| key.name == name) {
            warnings.push(format!("key {name} has no effect: {}", dead.why));
            continue;
        }
        let known = WORKER_KEYS.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
        warnings.push(match nearest(name, known) {
            Some(likely) => format!("key {name} is unknown and has no effect; did you mean {likely}?"),
            None => format!("key {name} is unknown and has no effect"),
        });
    }
}

fn cluster(text: &str, errors: &mut Vec<ConfigError>) -> ClusterAddress {
    if text.is_empty() || text.eq_ignore_ascii_case("embedded") {
        return ClusterAddress::Embedded;
    }
    let addresses: Vec<String> =
        text.split([';', ',']).map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
    let bad = addresses.iter().find(|one| {
        one.rsplit_once(':')
            .is_none_or(|(host, port)| host.is_empty() || !port.parse::<u16>().is_ok_and(|port| port > 0))
    });
    if addresses.is_empty() || bad.is_some() {
        let shown = bad.map_or(text, String::as_str);
        let name = keys::NAME_SERVERS.name;
        let message = format!("Config {name} is \"{shown}\", expected embedded or host:port;host:port");
        let remedy = "write the host and the port of each name server, such as 10.0.0.5:9876";
        errors.push(ConfigError::new(name, message).with_value(shown).with_remedy(remedy));
    }
    ClusterAddress::NameServers(addresses)
}

fn directory(key: &ConfigKey, from: &Properties, default: Option<String>, errors: &mut Vec<ConfigError>) -> PathBuf {
    let given = key.text(from).filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(path) = given.or(default) else {
        let message = format!("Config {} is not set and HOME is not known: set it to a directory", key.name);
        let remedy = format!("add {}=/some/directory to the conf file, or set HOME", key.name);
        errors.push(ConfigError::new(key.name, message).with_remedy(remedy));
        return PathBuf::new();
    };
    PathBuf::from(path)
}

/// Which collector is told, if one is.
fn otlp(from: &Properties, errors: &mut Vec<ConfigError>) -> Option<OtlpConfig> {
    let mut headers = Vec::new();
    let given = keys::OTLP_HEADERS.text(from).unwrap_or_default();
    for part in given.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or_default();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !name.chars().all(is_token) || !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            // What is there may be a secret without its name.
            let message = format!("Config {} has a part that is no header", keys::OTLP_HEADERS.name);
            let remedy = "write name=value for each header, separated by commas";
            errors.push(ConfigError::new(keys::OTLP_HEADERS.name, message).with_remedy(remedy));
        } else {
            headers.push((name.to_owned(), Secret(value.to_owned())));
        }
    }
    let share = keys::OTLP_TRACE_SAMPLE.text(from).unwrap_or_default();
    let trace_share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    if trace_share.is_none() {
        let name = keys::OTLP_TRACE_SAMPLE.name;
        let message = format!("Config {name} is \"{share}\", expected a number from 0 to 1");
        errors.push(ConfigError::new(name, message).with_value(share));
    }
    let endpoint = keys::OTLP_ENDPOINT.text(from).unwrap_or_default().trim_end_matches('/');
    if endpoint.is_empty() {
        return None;
    }
    let host = without_scheme(endpoint).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if host.is_empty() || host.contains(['@', ' ']) || endpoint.contains(['?', '#']) {
        let name = keys::OTLP_ENDPOINT.name;
        let message =
            format!("Config {name} is no address of a collector, expected http://host:port or https://host:port");
        let remedy = "write http:// or https:// and where a collector takes OTLP over HTTP, mostly at port 4318";
        errors.push(ConfigError::new(name, message).with_remedy(remedy));
    }
    let interval = Duration::from_millis(u64::try_from(keys::OTLP_INTERVAL.integer(from)).unwrap_or(0));
    Some(OtlpConfig { endpoint: endpoint.to_owned(), interval, headers, trace_share: trace_share.unwrap_or(0.0) })
}

fn credentials(from: &Properties, errors: &mut Vec<ConfigError>) -> Option<(Secret, Secret)> {
    if !keys::ACL_ENABLE.boolean(from) {
        return None;
    }
    let mut read = |key: &ConfigKey| {
        let text = key.text(from).unwrap_or_default();
        if text.is_empty() {
            let message = format!("Config {} is needed with aclEnable=true", key.name);
            let remedy =
                format!("set {}, or a reference to it such as ${{file:PATH:KEY}}; or set aclEnable=false", key.name);
            errors.push(ConfigError::new(key.name, message).with_remedy(remedy));
        }
        Secret(text.to_owned())
    };
    Some((read(&keys::ACCESS_KEY), read(&keys::SECRET_KEY)))
}

#[cfg(test)]
mod tests;
