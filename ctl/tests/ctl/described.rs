//! What the control plane's OpenAPI document says of requests and answers.

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../control/openapi.json");

pub(crate) struct Described {
    document: Value,
}

impl Described {
    pub(crate) fn read() -> Self {
        Self { document: serde_json::from_str(DOCUMENT).unwrap() }
    }

    /// Returns the operation of a method and path.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let fits = |template: &str| {
            let (template, path): (Vec<_>, Vec<_>) =
                (template.split('/').collect(), path.split('/').collect());
            template.len() == path.len()
                && template
                    .iter()
                    .zip(&path)
                    .all(|(wanted, found)| wanted == found || wanted.starts_with('{'))
        };
        let paths = self.document["paths"].as_object()?;
        // A literal segment is meant before a parameter.
        let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        found.iter().find_map(|(_, operations)| operations.get(method.to_lowercase()))
    }

    /// Returns what is wrong with a request.
    pub(crate) fn request_faults(
        &self,
        operation: &Value,
        query: &[(String, String)],
        body: &Value,
    ) -> Vec<String> {
        let mut faults = vec![];
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for (name, _) in query {
            let known = parameters.iter().any(|known| known["in"] == "query" && known["name"] == **name);
            if !known {
                faults.push(format!("query parameter {name}"));
            }
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !schema.is_null() {
            self.fits(schema, body, "body", &mut faults);
        } else if !body.is_null() && *body != serde_json::json!({}) {
            faults.push("a body where none is taken".into());
        }
        faults
    }

    /// Returns what is wrong with an answer.
    pub(crate) fn answer_faults(&self, operation: &Value, status: u16, body: &Value) -> Vec<String> {
        let responses = &operation["responses"];
        let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
        let content = response["content"].as_object();
        let schema = content.and_then(|content| content.values().next()).map(|media| &media["schema"]);
        let mut faults = vec![];
        if let Some(schema) = schema {
            self.fits(schema, body, "answer", &mut faults);
        }
        faults
    }

    fn fits(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            return self.fits(&self.document["components"]["schemas"][name], value, at, faults);
        }
        if let Some(all) = schema["allOf"].as_array() {
            return all.iter().for_each(|schema| self.fits(schema, value, at, faults));
        }
        if let Some(any) = schema["oneOf"].as_array() {
            let mut told = vec![];
            for schema in any {
                let mut faults = vec![];
                self.fits(schema, value, at, &mut faults);
                if faults.is_empty() {
                    return;
                }
                told.extend(faults);
            }
            return faults.extend(told);
        }
        let several = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let types: Vec<&str> = schema["type"].as_str().into_iter().chain(several).collect();
        if types.is_empty() {
            return;
        }
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.contains(&found) {
            return faults.push(format!("{at} is {found}, not {types:?}"));
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            faults.push(format!("{at} is {value}, not one of {words:?}"));
        }
        for (n, inner) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&schema["items"], inner, &format!("{at}[{n}]"), faults);
        }
        if let Some(object) = value.as_object() {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !object.contains_key(name) {
                    faults.push(format!("{at}.{name} is missing"));
                }
            }
            for (name, inner) in object {
                if let Some(schema) = schema["properties"].get(name) {
                    self.fits(schema, inner, &format!("{at}.{name}"), faults);
                } else if schema["additionalProperties"] == false {
                    faults.push(format!("{at}.{name} is not known"));
                }
            }
        }
    }
}
