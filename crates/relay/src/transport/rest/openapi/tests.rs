//! The document against what it describes: the operations, the descriptors, and the JSON that the generated types write.

use std::collections::BTreeSet;

use sealpost_api::v1;

use super::*;

/// Calls of the gRPC interface that REST does not serve.
const GRPC_ONLY: [&str; 3] = ["DeliveryRouter.Follow", "Messages.StreamBody", "Uploads.AppendAll"];

fn the_document() -> Value {
    serde_json::from_str(DOCUMENT.as_ref().unwrap()).unwrap()
}

fn find<'a>(document: &'a Value, operation: &Operation) -> &'a Value {
    &document["paths"][operation.path][operation.method]
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// The fields that an operation says it takes: from its path, its query, or the body's schema.
fn taken<'a>(document: &'a Value, operation: &'a Value) -> BTreeSet<&'a str> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.filter_map(|parameter| parameter["name"].as_str());
    parameters.chain(fields(document, &operation["requestBody"]["content"])).collect()
}

/// The properties of the schema that a content refers to.
fn fields<'a>(document: &'a Value, content: &Value) -> BTreeSet<&'a str> {
    let reference = content["application/json"]["schema"]["$ref"].as_str().unwrap_or("#/no such thing");
    keys(&document.pointer(&reference[1..]).unwrap_or(&Value::Null)["properties"])
}

fn field_names(message: &DescriptorProto) -> BTreeSet<&str> {
    message.field.iter().map(FieldDescriptorProto::name).collect()
}

#[test]
fn the_document_lists_every_operation_and_no_other() {
    let (document, operations) = (the_document(), operations());
    let served: BTreeSet<_> = operations.iter().map(|operation| (operation.path, operation.method)).collect();
    let paths = document["paths"].as_object().unwrap().iter();
    let listed: BTreeSet<_> =
        paths.flat_map(|(path, methods)| keys(methods).into_iter().map(|method| (path.as_str(), method))).collect();
    assert_eq!(listed, served);
    assert_eq!(served.len(), operations.len(), "one operation for each path and method");
    let router = include_str!("../../rest/mod.rs");
    assert_eq!(router.matches(".route(").count(), 1, "the router has no other source of paths");
}

#[test]
fn every_call_of_the_interface_is_served_or_named_as_grpc_only() {
    let interface = Interface::read().unwrap();
    let declared: BTreeSet<_> = interface
        .file
        .service
        .iter()
        .flat_map(|service| service.method.iter().map(|method| format!("{}.{}", service.name(), method.name())))
        .collect();
    let operations = operations();
    let served = operations.iter().filter_map(|operation| match operation.meaning {
        Meaning::Call(name) => Some(name.to_owned()),
        Meaning::Text(_) => None,
    });
    assert_eq!(served.chain(GRPC_ONLY.map(str::to_owned)).collect::<BTreeSet<_>>(), declared);
}

#[test]
fn every_field_of_every_request_and_answer_is_described() {
    let (document, interface) = (the_document(), Interface::read().unwrap());
    for operation in &operations() {
        let Meaning::Call(name) = operation.meaning else { continue };
        let (_, method) = interface.method(name).unwrap();
        let (_, request) = interface.message(method.input_type()).unwrap();
        let (_, answer) = interface.message(method.output_type()).unwrap();
        let description = find(&document, operation);
        assert_eq!(taken(&document, description), field_names(request), "{name}");
        let responses = description["responses"].as_object().unwrap();
        let (_, success) = responses.iter().find(|(status, _)| *status != "default").unwrap();
        assert_eq!(fields(&document, &success["content"]), field_names(answer), "{name}");
    }
}

/// Checks that the JSON form of each message's default has just the properties of its schema, and their types.
macro_rules! check_json_forms {
    ($document:expr, $($message:ident)+) => {
        [$((stringify!($message), serde_json::to_value(v1::$message::default()).unwrap()),)+].map(|(name, json)| {
            let properties = &$document["components"]["schemas"][name]["properties"];
            assert_eq!(keys(&json), keys(properties), "{name}");
            for (field, value) in json.as_object().unwrap() {
                assert!(is_of(value, &properties[field]), "{name}.{field}: {value} is no {}", properties[field]);
            }
            name
        })
    };
}

fn is_of(value: &Value, schema: &Value) -> bool {
    match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("array") => value.is_array(),
        Some("null") => value.is_null(),
        _ => schema["anyOf"].as_array().is_some_and(|any| any.iter().any(|schema| is_of(value, schema))),
    }
}

#[test]
fn an_answer_requires_each_of_its_fields_and_a_request_none() {
    let (document, interface) = (the_document(), Interface::read().unwrap());
    let schemas = &document["components"]["schemas"];
    for method in interface.file.service.iter().flat_map(|service| &service.method) {
        assert_eq!(schemas[short(method.input_type())]["required"], Value::Null, "{}", method.input_type());
        let answer = &schemas[short(method.output_type())];
        let required: BTreeSet<_> = answer["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(required, keys(&answer["properties"]), "{}", method.output_type());
    }
    let delivery = schemas["DeliveryStatus"]["required"].as_array().unwrap();
    assert!(delivery.contains(&"acknowledged_at_ms".into()), "null while there is none");
}

#[test]
fn the_schemas_are_those_of_the_json_that_is_written_and_read() {
    let document = the_document();
    let checked = check_json_forms! { document,
        ChallengeRequest ChallengeResponse IssueTokenRequest IssueTokenResponse Delegation RevokeRequest RevokeResponse
        UploadPrekeysRequest UploadPrekeysResponse PrekeyCounts ClaimPrekeyBundleRequest PrekeyBundle
        GetManifestRequest GetManifestResponse
        BeginUploadRequest UploadStatus MissingRange AppendRequest AppendResponse UploadRequest CancelUploadResponse
        SendRequest Part SendResponse ReceiveRequest ReceiveResponse FollowRequest MailboxEntry
        AcknowledgeRequest AcknowledgeResponse RefusedReceipt GetStandingRequest GetStandingResponse
        GetStatusRequest GetStatusResponse DeliveryStatus MessageContent StoredBody StoredContent
        GetBodyRequest GetBodyResponse
        ListEventsRequest ListEventsResponse SubscribeRequest Event
    };
    let all: BTreeSet<_> = checked.into_iter().chain(["Problem"]).collect();
    assert_eq!(keys(&document["components"]["schemas"]), all);
}

#[test]
fn every_reference_leads_somewhere() {
    fn follow(document: &Value, value: &Value) {
        match value {
            Value::Object(object) => object.iter().for_each(|(key, value)| match value.as_str() {
                Some(reference) if key == "$ref" => assert!(document.pointer(&reference[1..]).is_some(), "{reference}"),
                _ => follow(document, value),
            }),
            Value::Array(items) => items.iter().for_each(|item| follow(document, item)),
            _ => {}
        }
    }
    let document = the_document();
    follow(&document, &document);
}

#[test]
fn every_operation_says_what_it_does_and_whether_it_needs_a_token() {
    let document = the_document();
    for operation in &operations() {
        let description = find(&document, operation);
        assert_ne!(description["description"].as_str().unwrap_or_default(), "", "{}", operation.path);
        assert_eq!(description.get("security") == Some(&json!([])), is_open(operation.path), "{}", operation.path);
    }
}

#[test]
fn the_document_in_short() {
    let (document, operations) = (the_document(), operations());
    let line = |operation: &Operation| {
        let description = find(&document, operation);
        let taken = taken(&document, description).into_iter().collect::<Vec<_>>().join(", ");
        format!("{} {}({taken}) {}", operation.method, operation.path, description["description"].as_str().unwrap())
    };
    let codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].to_string();
    insta::assert_snapshot!(operations.iter().map(line).chain([codes]).collect::<Vec<_>>().join("\n"));
    insta::assert_json_snapshot!(document["components"]["schemas"]["SendRequest"]);
}
