//! The fixtures of MCP's conformance suite, on the library and the transport settings of this crate.
//!
//! The suite calls tools, prompts and resources of fixed names; a product has no use for them, so they
//! are an example. Prints its address: `cargo run -p lakeport-mcp --example conformance`.
#![allow(deprecated, reason = "the suite still checks sampling, roots and logging")]

mod answers;

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, CompleteRequestParams,
    CompleteResult, CreateMessageRequestParams, ElicitRequestParams, GetPromptRequestParams,
    GetPromptResponse, Implementation, InputRequiredResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
    LoggingMessageNotificationParam, PaginatedRequestParams, ProgressNotificationParam,
    ReadResourceRequestParams, ReadResourceResponse, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

type Context = RequestContext<RoleServer>;
type Result<T> = std::result::Result<T, ErrorData>;

const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone)]
struct Fixtures;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // Sessions, for the parts of the older protocol that ask the client something.
    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*"]);
    let manager = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Fixtures), manager, config);
    use std::io::Write;
    writeln!(std::io::stdout(), "http://{address}/mcp")?;
    axum::serve(listener, axum::Router::new().route_service("/mcp", service)).await
}

/// JSON as the type that the library wants; the fixtures are the suite's own words.
fn parse<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(format!("a fixture: {error}"), None))
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let capabilities = json!({
            "completions": {}, "logging": {}, "prompts": {}, "tools": {},
            "resources": {"subscribe": true},
        });
        ServerConfig::new(parse(capabilities).unwrap_or_default())
            .with_server_info(Implementation::new("lakeport-conformance", "1"))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListToolsResult> {
        Ok(ListToolsResult::with_all_items(parse(answers::tools())?))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tools: Vec<Tool> = parse(answers::tools()).ok()?;
        tools.into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse> {
        let name = request.name.to_string();
        if let Some(name) = name.strip_prefix("test_input_required_result_") {
            return input_required(name, request, &context);
        }
        let argument = |key: &str| {
            let value = request.arguments.as_ref().and_then(|arguments| arguments.get(key));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let text = match name.as_str() {
            "test_tool_with_logging" => log(&context).await,
            "test_tool_with_progress" => progress(&context).await,
            "test_missing_capability" => return missing_capability(&context),
            "test_sampling" => sample(&context, argument("prompt")).await?,
            "test_elicitation" => {
                let question = answers::user_form(&argument("message"));
                format!("User response: {}", elicit(&context, question).await?)
            }
            "test_elicitation_sep1034_defaults" => {
                format!(
                    "Elicitation completed: {}",
                    elicit(&context, answers::defaults_form()).await?
                )
            }
            "test_elicitation_sep1330_enums" => {
                format!("Elicitation completed: {}", elicit(&context, answers::enums_form()).await?)
            }
            "test_streaming_elicitation" => {
                return Ok(parse::<InputRequiredResult>(answers::ask("user_name", "name"))?.into());
            }
            _ => {
                let Some(result) = answers::tool(&name) else {
                    return Err(ErrorData::invalid_params(format!("no tool `{name}`"), None));
                };
                return Ok(CallToolResponse::Complete(parse(result)?));
            }
        };
        Ok(CallToolResponse::Complete(parse(answers::text(&text))?))
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult> {
        Ok(ListPromptsResult::with_all_items(parse(answers::prompts())?))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse> {
        if request.name == "test_input_required_result_prompt" && request.input_responses.is_none()
        {
            return Ok(
                parse::<InputRequiredResult>(answers::ask("user_context", "context"))?.into()
            );
        }
        let arguments = request.arguments.unwrap_or_default();
        match answers::prompt(&request.name, &arguments) {
            Some(result) => Ok(GetPromptResponse::Complete(parse(result)?)),
            None => Err(ErrorData::invalid_params(format!("no prompt `{}`", request.name), None)),
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult> {
        Ok(ListResourcesResult::with_all_items(parse(answers::resources())?))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult> {
        Ok(ListResourceTemplatesResult::with_all_items(parse(answers::templates())?))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse> {
        match answers::resource(&request.uri) {
            Some(result) => Ok(ReadResourceResponse::Complete(parse(result)?)),
            None => {
                let data = json!({ "uri": request.uri });
                Err(ErrorData::resource_not_found("Resource not found", Some(data)))
            }
        }
    }

    async fn complete(&self, _: CompleteRequestParams, _: Context) -> Result<CompleteResult> {
        parse(json!({
            "resultType": "complete",
            "completion": {"values": ["paris", "park", "party"], "total": 3, "hasMore": false},
        }))
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<()> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        asked: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(asked.clone())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<()> {
        Ok(())
    }
}

/// The tools that answer with a question first.
fn input_required(
    name: &str,
    request: CallToolRequestParams,
    context: &Context,
) -> Result<CallToolResponse> {
    let capabilities = context.client_capabilities().unwrap_or_default();
    let responses =
        request.input_responses.map(|responses| json!(responses)).unwrap_or(Value::Null);
    let state = request.request_state.as_deref();
    match answers::input_required(name, &responses, state, &json!(capabilities)) {
        Some(Ok(value)) if value["resultType"] == "input_required" => {
            Ok(parse::<InputRequiredResult>(value)?.into())
        }
        Some(Ok(value)) => Ok(CallToolResponse::Complete(parse(value)?)),
        Some(Err(why)) => Err(ErrorData::invalid_params(why, None)),
        None => Err(ErrorData::invalid_params(format!("no tool `{name}`"), None)),
    }
}

async fn log(context: &Context) -> String {
    let steps = ["Tool execution started", "Tool processing data", "Tool execution completed"];
    for step in steps {
        let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(step));
        let _ = context.peer.notify_logging_message(message).await;
        tokio::time::sleep(PAUSE).await;
    }
    String::from("done")
}

async fn progress(context: &Context) -> String {
    for progress in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let told = ProgressNotificationParam::new(token, progress).with_total(100.0);
            let _ = context.peer.notify_progress(told).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    String::from("done")
}

fn missing_capability(context: &Context) -> Result<CallToolResponse> {
    if context.client_capabilities().is_some_and(|client| client.sampling.is_some()) {
        return Ok(CallToolResponse::Complete(parse(answers::text("sampling is there"))?));
    }
    let required: ClientCapabilities = parse(json!({"sampling": {}}))?;
    Err(ErrorData::missing_required_client_capability(required))
}

async fn sample(context: &Context, prompt: String) -> Result<String> {
    let question: CreateMessageRequestParams = parse(answers::sampling(&prompt, 100))?;
    let answer = context.peer.create_message(question).await;
    let answer = answer.map_err(|error| ErrorData::invalid_request(error.to_string(), None))?;
    let text = json!(answer)["content"]["text"].as_str().unwrap_or_default().to_owned();
    Ok(format!("LLM response: {text}"))
}

async fn elicit(context: &Context, question: Value) -> Result<String> {
    let question: ElicitRequestParams = parse(question)?;
    let answer = context.peer.create_elicitation(question).await;
    let answer = answer.map_err(|error| ErrorData::invalid_request(error.to_string(), None))?;
    let answer = json!(answer);
    Ok(format!(
        "action={}, content={}",
        answer["action"].as_str().unwrap_or_default(),
        answer["content"]
    ))
}
