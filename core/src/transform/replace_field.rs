//! `ReplaceField`: leaves fields out and gives others new names.

use std::sync::Arc;

use super::named_fields::{NamedFields, Needle, REPLACE_NULL, SchemaCache, list, read, twice, with_fields, wrong};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::Properties;
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::json::{Json, MemberChange};
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, Schema};
use crate::value::{Map, Struct, Value};

const WHO: &str = "ReplaceField";

const EXCLUDE: ConfigKey = ConfigKey {
    name: "exclude",
    aliases: &["blacklist"],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Names of fields to leave out, whatever `include` says.",
};
const INCLUDE: ConfigKey = ConfigKey {
    name: "include",
    aliases: &["whitelist"],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Names of the only fields to keep; empty: all.",
};
const RENAMES: ConfigKey = ConfigKey {
    name: "renames",
    aliases: &[],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Old and new names of fields, as `old:new,old:new`. Two fields of one name are an error.",
};

/// How to change a struct.
struct Plan {
    schema: Arc<Schema>,
    /// Places of the fields that stay.
    places: Vec<usize>,
}

/// Two fields that can't both be there.
struct Clash {
    one: Needle,
    other: Needle,
    new_name: String,
}

struct ReplaceField {
    target: Target,
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, String)>,
    /// Pairs of old names that would get one new name.
    clashes: Vec<Clash>,
    replace_null: bool,
    plans: SchemaCache<Plan>,
}

impl ReplaceField {
    fn stays(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|one| one == name);
        !named(&self.exclude) && (self.include.is_empty() || named(&self.include))
    }

    fn new_name(&self, name: &str) -> Option<&str> {
        self.renames.iter().find(|(old, _)| old == name).map(|(_, new)| new.as_str())
    }

    fn plan(&self, old: &Schema) -> Result<Plan> {
        let mut fields = Vec::new();
        let mut places = Vec::new();
        for (place, field) in old.fields.iter().enumerate().filter(|(_, field)| self.stays(&field.name)) {
            let name = self.new_name(&field.name).map_or_else(|| field.name.clone(), Arc::from);
            fields.push(Field::new(name, field.schema.clone()));
            places.push(place);
        }
        Ok(Plan { schema: with_fields(old, fields)?, places })
    }

    fn of_struct(&self, old: &Struct) -> Result<Struct> {
        let plan = self.plans.get(old.schema(), |schema| self.plan(schema))?;
        let value = |(field, place): (&Field, &usize)| {
            read(&field.schema, old.values().get(*place).unwrap_or(&Value::Null), self.replace_null)
        };
        let values = plan.schema.fields.iter().zip(&plan.places).map(value).collect();
        Ok(Struct::new(plan.schema.clone(), values))
    }

    fn of_map(&self, old: &Map) -> Result<Map> {
        self.check_clashes(|name| old.get(&name.name).is_some())?;
        let mut pairs = Vec::with_capacity(old.len());
        for (key, value) in old.iter() {
            let Value::String(text) = key else {
                if self.include.is_empty() {
                    pairs.push((key.clone(), value.clone()));
                }
                continue;
            };
            let name = text.to_str();
            if self.stays(&name) {
                pairs.push((self.new_name(&name).map_or_else(|| key.clone(), Value::text), value.clone()));
            }
        }
        Ok(Map::from_pairs(pairs))
    }

    fn of_text(&self, old: &Json) -> Result<Json> {
        self.check_clashes(|name| name.is_in(old))?;
        Ok(old.edited(|member| {
            let name = member.name();
            match (self.stays(&name), self.new_name(&name)) {
                (false, _) => MemberChange::Drop,
                (true, None) => MemberChange::Keep,
                (true, Some(new)) => MemberChange::Rename(new.to_owned()),
            }
        }))
    }

    fn check_clashes(&self, is_there: impl Fn(&Needle) -> bool) -> Result<()> {
        // The other one is most likely not there, which is soon told.
        match self.clashes.iter().find(|clash| is_there(&clash.other) && is_there(&clash.one)) {
            Some(clash) => Err(twice(&clash.new_name)),
            None => Ok(()),
        }
    }

    /// The pairs of names that must not meet.
    fn clashes(&self) -> Vec<Clash> {
        let mut clashes = Vec::new();
        for (at, (old, new)) in self.renames.iter().enumerate().filter(|(_, (old, _))| self.stays(old)) {
            let earlier = self.renames.iter().take(at).filter(|(_, other)| other == new).map(|(other, _)| other);
            let kept = Some(new).filter(|kept| self.new_name(kept).is_none());
            for other in earlier.chain(kept).filter(|other| self.stays(other)) {
                clashes.push(Clash { one: Needle::new(old), other: Needle::new(other), new_name: new.clone() });
            }
        }
        clashes
    }
}

impl Transform for ReplaceField {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        match NamedFields::take(WHO, value, schema.as_ref())? {
            None => {}
            Some(NamedFields::Struct(old)) => {
                let new = self.of_struct(&old)?;
                *schema = Some(new.schema().clone());
                *value = Value::Struct(Arc::new(new));
            }
            Some(NamedFields::Map(old)) => *value = Value::Map(Arc::new(self.of_map(&old)?)),
            Some(NamedFields::Json(old)) => *value = Value::Json(self.of_text(&old)?),
        }
        Ok(Outcome::Keep)
    }
}

/// The pairs of old and new names.
fn renames(properties: &Properties) -> Result<Vec<(String, String)>, ConfigErrors> {
    let mut renames: Vec<(String, String)> = Vec::new();
    for pair in list(&RENAMES, properties) {
        let names = pair.split_once(':').map(|(old, new)| (old.trim(), new.trim()));
        let Some((old, new)) = names.filter(|(old, new)| !old.is_empty() && !new.is_empty() && !new.contains(':'))
        else {
            return Err(wrong(&RENAMES, properties, "pairs like old:new"));
        };
        if renames.iter().any(|(known, _)| known == old) {
            return Err(wrong(&RENAMES, properties, "each old name once"));
        }
        renames.push((old.to_owned(), new.to_owned()));
    }
    Ok(renames)
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let mut transform = ReplaceField {
        target: config.target.unwrap_or(Target::Value),
        exclude: list(&EXCLUDE, &config.properties),
        include: list(&INCLUDE, &config.properties),
        renames: renames(&config.properties)?,
        clashes: Vec::new(),
        replace_null: REPLACE_NULL.boolean(&config.properties),
        plans: SchemaCache::default(),
    };
    transform.clashes = transform.clashes();
    Ok(Box::new(transform))
}

inventory::submit! {
    TransformFactory {
        name: "replace-field",
        java_class: "org.apache.rocketmq.connect.transforms.ReplaceField",
        aliases: &["org.apache.kafka.connect.transforms.ReplaceField"],
        targets: true,
        doc: "Leaves fields out and gives others new names.",
        keys: &[EXCLUDE, INCLUDE, RENAMES, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{Form, apply_to, check, check_form, config_faults, fails, plain, with_default};
    use super::*;

    #[test]
    fn fields_go_stay_and_are_renamed() {
        let abc = r#"{"a":"x","b":"y","c":"z"}"#;
        check("ReplaceField", &[("exclude", "b, n")], abc, r#"{"a":"x","c":"z"}"#);
        check("ReplaceField", &[("blacklist", "b")], abc, r#"{"a":"x","c":"z"}"#);
        check("ReplaceField", &[("include", "c,a,n")], abc, r#"{"a":"x","c":"z"}"#);
        check("ReplaceField", &[("whitelist", "c"), ("renames", "c:d")], abc, r#"{"d":"z"}"#);
        check("ReplaceField", &[("include", "a,b"), ("exclude", "a")], abc, r#"{"b":"y"}"#);
        check("ReplaceField", &[("renames", "a:b,b:a,n:m")], abc, r#"{"b":"x","a":"y","c":"z"}"#);
        check("ReplaceField", &[("renames", "a:b"), ("exclude", "b")], abc, r#"{"b":"x","c":"z"}"#);
        check("ReplaceField", &[("renames", "a:a")], abc, abc);
        check("ReplaceField", &[], abc, abc);
        check("ReplaceField", &[("exclude", "a")], "null", "null");
        check("ReplaceField", &[("exclude", "a,b,c")], abc, "{}");
    }

    #[test]
    fn two_fields_of_one_name_are_an_error() {
        let abc = r#"{"a":"x","b":"y","c":"z"}"#;
        for renames in ["a:b", "c:a", "a:d,b:d"] {
            fails(&Form::ALL, "ReplaceField", &[("renames", renames)], abc, "two fields would be called");
        }
        check("ReplaceField", &[("renames", "a:d,n:d")], abc, r#"{"d":"x","b":"y","c":"z"}"#);
    }

    #[test]
    fn what_has_no_fields_is_an_error() {
        for value in ["7", "true", "\"x\"", "[1]"] {
            fails(&Form::ALL, "ReplaceField", &[("exclude", "a")], value, "ReplaceField needs a struct or a map, not");
        }
        for renames in ["a", "a:", ":b", "a:b:c", "a:b,a:c"] {
            assert_eq!(config_faults("ReplaceField$Key", &[("renames", renames)]), ["transforms.t.renames"]);
        }
    }

    #[test]
    fn members_written_twice_or_with_escapes_are_one_field() {
        let text = r#"{ "\u0061" : 1, "b":2 , "a":3, "c\"":4 }"#;
        check_form(Form::Json, "ReplaceField", &[("renames", "a:x")], text, r#"{"x":3,"b":2,"c\"":4}"#);
        check_form(Form::Json, "ReplaceField", &[("exclude", "a")], text, r#"{"b":2,"c\"":4}"#);
    }

    #[test]
    fn a_null_becomes_the_default_if_wished() {
        for (replace, expected) in [("true", r#"{"b":5}"#), ("false", r#"{"b":null}"#)] {
            let (value, schema) = with_default("a", Value::Int32(5));
            let keys = [("renames", "a:b"), ("replace.null.with.default", replace)];
            assert_eq!(plain(&apply_to("ReplaceField$Value", &keys, value, schema).unwrap().value), expected);
        }
    }
}
