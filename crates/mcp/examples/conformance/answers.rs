//! What the suite expects to find, as JSON. Owns: names and texts. Never: the protocol.

use serde_json::{Map, Value, json};

/// A red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// A WAV file without a sample.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
const STATE: [&str; 3] = ["state-0f3a", "round-1-9b1c", "round-2-77e5"];

const PLAIN_TOOLS: [&str; 22] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_logging_tool",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "test_reconnection",
];

pub(crate) fn tools() -> Value {
    let text = json!({"type": "string"});
    let tool = |name: &str, schema: Value| json!({"name": name, "description": "For the conformance suite", "inputSchema": schema});
    let mut tools: Vec<_> = PLAIN_TOOLS
        .iter()
        .map(|name| tool(name, json!({"type": "object", "properties": {}})))
        .collect();
    let with =
        |name: &str| json!({"type": "object", "properties": {name: text}, "required": [name]});
    tools.push(tool("test_sampling", with("prompt")));
    tools.push(tool("test_elicitation", with("message")));
    tools.push(tool(
        "test_headers",
        json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}),
    ));
    tools.push(tool("json_schema_2020_12_tool", schema_2020_12()));
    Value::Array(tools)
}

fn schema_2020_12() -> Value {
    let text = json!({"type": "string"});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef", "type": "object", "properties": {"street": text, "city": text},
        }},
        "properties": {
            "name": text,
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": text,
            "email": text,
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

pub(crate) fn text(text: &str) -> Value {
    content(json!([{"type": "text", "text": text}]))
}

fn content(blocks: Value) -> Value {
    json!({"resultType": "complete", "content": blocks})
}

fn image() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": "image/png"})
}

/// The tools that always give the same.
pub(crate) fn tool(name: &str) -> Option<Value> {
    let embedded = |uri: &str, kind: &str, text: &str| json!({"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": text}});
    Some(match name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => content(json!([image()])),
        "test_audio_content" => {
            content(json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]))
        }
        "test_embedded_resource" => content(json!([embedded(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content."
        )])),
        "test_multiple_content_types" => content(json!([
            {"type": "text", "text": "Multiple content types test:"},
            image(),
            embedded("test://mixed-content-resource", "application/json",
                "{\"test\":\"data\",\"value\":123}"),
        ])),
        "test_error_handling" => json!({
            "resultType": "complete",
            "isError": true,
            "content": [{"type": "text", "text": "This tool intentionally returns an error for testing"}],
        }),
        "test_logging_tool" | "test_headers" | "json_schema_2020_12_tool" | "test_reconnection" => {
            text("done")
        }
        _ => return None,
    })
}

pub(crate) fn sampling(prompt: &str, max_tokens: u32) -> Value {
    json!({
        "messages": [{"role": "user", "content": {"type": "text", "text": prompt}}],
        "maxTokens": max_tokens,
    })
}

fn form(message: &str, properties: Value, required: &[&str]) -> Value {
    json!({
        "mode": "form",
        "message": message,
        "requestedSchema": {"type": "object", "properties": properties, "required": required},
    })
}

pub(crate) fn user_form(message: &str) -> Value {
    let text = |what: &str| json!({"type": "string", "description": what});
    let properties =
        json!({"username": text("User's response"), "email": text("User's email address")});
    form(message, properties, &["username", "email"])
}

pub(crate) fn defaults_form() -> Value {
    let properties = json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    });
    form("Please fill in", properties, &[])
}

pub(crate) fn enums_form() -> Value {
    let options = json!(["option1", "option2", "option3"]);
    let titled = json!([
        {"const": "value1", "title": "First Option"},
        {"const": "value2", "title": "Second Option"},
        {"const": "value3", "title": "Third Option"},
    ]);
    let properties = json!({
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    });
    form("Please choose", properties, &[])
}

fn question(field: &str, kind: &str, message: &str) -> Value {
    let params = form(message, json!({field: {"type": kind}}), &[field]);
    json!({"method": "elicitation/create", "params": params})
}

fn required(requests: Value, state: Option<&str>) -> Value {
    let mut result = json!({"resultType": "input_required", "inputRequests": requests});
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    result
}

/// One question, for one field.
pub(crate) fn ask(key: &str, field: &str) -> Value {
    required(json!({key: question(field, "string", "What is it?")}), None)
}

/// A round of the tools that ask, `Err` for a state that is not one of ours.
pub(crate) fn input_required(
    name: &str,
    responses: &Value,
    state: Option<&str>,
    client: &Value,
) -> Option<Result<Value, &'static str>> {
    let has = |key: &str| responses.get(key).is_some_and(Value::is_object);
    let model = |prompt: &str, most| json!({"method": "sampling/createMessage", "params": sampling(prompt, most)});
    let roots = || json!({"method": "roots/list", "params": {}});
    let confirm = || json!({"confirm": question("ok", "boolean", "Please confirm")});
    Some(Ok(match name {
        "elicitation" => match responses["user_name"]["content"]["name"].as_str() {
            Some(name) => text(&format!("Hello, {name}!")),
            None => ask("user_name", "name"),
        },
        "sampling" if has("capital_question") => {
            text(responses["capital_question"]["content"]["text"].as_str().unwrap_or("nothing"))
        }
        "sampling" => required(
            json!({"capital_question": model("What is the capital of France?", 100)}),
            None,
        ),
        "list_roots" if has("client_roots") => {
            text(&responses["client_roots"]["roots"].to_string())
        }
        "list_roots" => required(json!({"client_roots": roots()}), None),
        "request_state" if has("confirm") && state == Some(STATE[0]) => text("state-ok"),
        "request_state" => required(confirm(), Some(STATE[0])),
        "tampered_state" => match state {
            None => required(confirm(), Some(STATE[0])),
            Some(state) if state == STATE[0] => text("state-ok"),
            Some(_) => return Some(Err("requestState: it was changed on the way")),
        },
        "multiple_inputs" if ["user_name", "greeting", "client_roots"].into_iter().all(has) => {
            text("all is there")
        }
        "multiple_inputs" => required(
            json!({
                "user_name": question("name", "string", "What is your name?"),
                "greeting": model("Generate a greeting", 50),
                "client_roots": roots(),
            }),
            Some(STATE[0]),
        ),
        "multi_round" if has("step2") && state == Some(STATE[2]) => text("done"),
        "multi_round" if has("step1") && state == Some(STATE[1]) => required(
            json!({"step2": question("color", "string", "Step 2: What is your favorite color?")}),
            Some(STATE[2]),
        ),
        "multi_round" => required(
            json!({"step1": question("name", "string", "Step 1: What is your name?")}),
            Some(STATE[1]),
        ),
        "capabilities" => {
            let mut requests = Map::new();
            if client["sampling"].is_object() {
                requests.insert(String::from("model"), model("Say something", 10));
            }
            if client["elicitation"].is_object() {
                requests.insert(String::from("person"), question("name", "string", "Who?"));
            }
            match requests.is_empty() || responses.is_object() {
                true => text("done"),
                false => required(Value::Object(requests), None),
            }
        }
        _ => return None,
    }))
}

pub(crate) fn prompts() -> Value {
    let argument =
        |name: &str| json!({"name": name, "description": "An argument", "required": true});
    let prompt = |name: &str, arguments: Vec<Value>| json!({"name": name, "description": "For the conformance suite", "arguments": arguments});
    json!([
        prompt("test_simple_prompt", vec![]),
        prompt("test_prompt_with_arguments", vec![argument("arg1"), argument("arg2")]),
        prompt("test_prompt_with_embedded_resource", vec![argument("resourceUri")]),
        prompt("test_prompt_with_image", vec![]),
        prompt("test_input_required_result_prompt", vec![]),
    ])
}

pub(crate) fn prompt(name: &str, arguments: &Map<String, Value>) -> Option<Value> {
    let argument = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let says = |content: Value| json!({"role": "user", "content": content});
    let says_text = |text: &str| says(json!({"type": "text", "text": text}));
    let messages = match name {
        "test_simple_prompt" => vec![says_text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => vec![says_text(&format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1"),
            argument("arg2")
        ))],
        "test_prompt_with_embedded_resource" => vec![
            says(json!({"type": "resource", "resource": {
                "uri": argument("resourceUri"),
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            }})),
            says_text("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => {
            vec![says(image()), says_text("Please analyze the image above.")]
        }
        "test_input_required_result_prompt" => vec![says_text("With the context that was given.")],
        _ => return None,
    };
    Some(json!({"resultType": "complete", "messages": messages}))
}

pub(crate) fn resources() -> Value {
    let resource = |uri: &str, kind: &str| json!({"uri": uri, "name": uri, "description": "For the conformance suite", "mimeType": kind});
    json!([
        resource("test://static-text", "text/plain"),
        resource("test://static-binary", "image/png"),
        resource("test://watched-resource", "text/plain"),
    ])
}

pub(crate) fn templates() -> Value {
    json!([{
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "description": "For the conformance suite",
        "mimeType": "application/json",
    }])
}

pub(crate) fn resource(uri: &str) -> Option<Value> {
    let template = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let contents = match (uri, template) {
        ("test://static-text", _) => json!({
            "uri": uri, "mimeType": "text/plain",
            "text": "This is the content of the static text resource.",
        }),
        ("test://static-binary", _) => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        ("test://watched-resource", _) => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "Watched"})
        }
        (_, Some(id)) => json!({
            "uri": uri, "mimeType": "application/json",
            "text": json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string(),
        }),
        _ => return None,
    };
    Some(json!({"resultType": "complete", "contents": [contents]}))
}
