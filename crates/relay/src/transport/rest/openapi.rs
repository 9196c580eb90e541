//! The OpenAPI 3.1 document. Its paths are the router's own operations; its texts and schemas come from the comments and
//! messages of the interface's descriptors, whose field names are those of the JSON form.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use axum::response::{IntoResponse, Response};
use http::header;
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use sealpost_api::v1::FILE_DESCRIPTOR_SET;
use sealpost_protocol::ErrorCode;
use serde_json::{Map, Value, json};

use super::{Meaning, Operation, operations};
use crate::transport::{authenticate::is_open, refusal::Refusal};

static DOCUMENT: LazyLock<Result<String, prost::DecodeError>> =
    LazyLock::new(|| Ok(document(&operations(), &Interface::read()?).to_string()));

/// Serves the document.
pub(super) async fn serve() -> Response {
    match &*DOCUMENT {
        Ok(document) => ([(header::CONTENT_TYPE, "application/json")], document.as_str()).into_response(),
        Err(error) => Refusal::new(ErrorCode::Internal, error.to_string()).into_response(),
    }
}

fn document(operations: &[Operation], interface: &Interface) -> Value {
    let mut paths = BTreeMap::<_, Map<_, _>>::new();
    for operation in operations {
        let methods = paths.entry(operation.path).or_default();
        methods.insert(operation.method.to_owned(), interface.operation(operation));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sealpost relay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": interface.comment(&[SYNTAX]),
        },
        "security": [{ "DPoP": [] }],
        "paths": paths,
        "components": {
            "schemas": interface.schemas(),
            "responses": { "Problem": {
                "description": "The request was refused.",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            } },
            "securitySchemes": { "DPoP": {
                "type": "http",
                "scheme": "DPoP",
                "description": "A token of `POST /auth/token`, which works with proof of its key (RFC 9449): the first \
                    request with a token on a connection carries one in the header `DPoP`.",
            } },
        },
    })
}

/// Where a declaration stands in a proto file: the field numbers of `descriptor.proto` and indices that lead to it.
type Place = [i32];
const MESSAGE: i32 = 4;
const SERVICE: i32 = 6;
const SYNTAX: i32 = 12;
/// A field of a message, or a method of a service.
const MEMBER: i32 = 2;

/// The descriptors of the interface.
struct Interface {
    file: FileDescriptorProto,
    comments: BTreeMap<Vec<i32>, String>,
}

impl Interface {
    fn read() -> Result<Self, prost::DecodeError> {
        let file = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)?.file.into_iter().next().unwrap_or_default();
        let places = file.source_code_info.iter().flat_map(|source| &source.location);
        let comment = |comments: &[&str]| comments.iter().map(|text| plain(text)).collect::<Vec<_>>().join("\n\n");
        let comments = places.map(|place| {
            let before = place.leading_detached_comments.iter().map(String::as_str);
            let texts: Vec<_> = before.chain(place.leading_comments.as_deref()).collect();
            (place.path.clone(), comment(&texts))
        });
        Ok(Self { comments: comments.collect(), file })
    }

    fn comment(&self, place: &Place) -> &str {
        self.comments.get(place).map_or("", String::as_str)
    }

    fn operation(&self, operation: &Operation) -> Value {
        let value = match operation.meaning {
            Meaning::Call(name) => self.call(operation, name).unwrap_or_default(),
            Meaning::Text(text) => json!({
                "description": text,
                "responses": { "200": { "description": "OK" }, "default": problem() },
            }),
        };
        if is_open(operation.path) { with(value, "security", json!([])) } else { value }
    }

    /// An operation that is a call of the interface; `None` if the interface does not know it.
    fn call(&self, operation: &Operation, name: &str) -> Option<Value> {
        let (place, method) = self.method(name)?;
        let (request_place, request) = self.message(method.input_type())?;
        let is_in_path = |field: &FieldDescriptorProto| operation.path.contains(&format!("{{{}}}", field.name()));
        let (in_path, others): (Vec<_>, Vec<_>) = request.field.iter().enumerate().partition(|(_, f)| is_in_path(f));
        let parameter = |place: &str, (index, field): &(usize, &FieldDescriptorProto)| {
            let required = place == "path";
            let parameter = json!({ "name": field.name(), "in": place, "required": required, "schema": scalar(field) });
            described(parameter, self.comment(&member(&request_place, *index)))
        };
        let has_body = operation.method == "post" && !others.is_empty();
        let in_query = others.iter().filter(|_| operation.method == "get");
        let parameters = in_path.iter().map(|field| parameter("path", field));
        let parameters: Vec<_> = parameters.chain(in_query.map(|field| parameter("query", field))).collect();
        let (status, description) = match method.server_streaming() {
            false => ("200", "Done."),
            true => {
                ("101", "A WebSocket. Each text message is one of these; a close frame's reason is a refusal's code.")
            }
        };
        let call = json!({
            "operationId": method.name(),
            "tags": name.split('.').take(1).collect::<Vec<_>>(),
            "parameters": parameters,
            "responses": {
                status: { "description": description, "content": content(method.output_type()) },
                "default": problem(),
            },
        });
        let body = json!({ "required": true, "content": content(method.input_type()) });
        let call = if has_body { with(call, "requestBody", body) } else { call };
        Some(described(call, self.comment(&place)))
    }

    fn method(&self, name: &str) -> Option<(Vec<i32>, &MethodDescriptorProto)> {
        let (service, method) = name.split_once('.')?;
        let (service_index, service) = numbered(&self.file.service).find(|(_, found)| found.name() == service)?;
        let (index, method) = numbered(&service.method).find(|(_, found)| found.name() == method)?;
        Some((vec![SERVICE, service_index, MEMBER, index], method))
    }

    fn message(&self, type_name: &str) -> Option<(Vec<i32>, &DescriptorProto)> {
        let (index, message) = numbered(&self.file.message_type).find(|(_, found)| found.name() == short(type_name))?;
        Some((vec![MESSAGE, index], message))
    }

    fn schemas(&self) -> Map<String, Value> {
        let mut schemas = Map::new();
        let methods = || self.file.service.iter().flat_map(|service| &service.method);
        let asked = self.reached(methods().map(MethodDescriptorProto::input_type));
        let answered = self.reached(methods().map(MethodDescriptorProto::output_type));
        for (index, message) in numbered(&self.file.message_type) {
            let place = [MESSAGE, index];
            let field = |(index, field): (usize, &FieldDescriptorProto)| {
                let comment = self.comment(&member(&place, index));
                (field.name().to_owned(), described(property(field), comment))
            };
            let properties: Map<_, _> = message.field.iter().enumerate().map(field).collect();
            let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
            // In a request each may be left out; an answer leaves none out.
            if answered.contains(message.name()) && !asked.contains(message.name()) {
                let names: Vec<_> = message.field.iter().map(FieldDescriptorProto::name).collect();
                schema = with(schema, "required", names.into());
            }
            schemas.insert(message.name().to_owned(), described(schema, self.comment(&place)));
        }
        schemas.insert("Problem".to_owned(), problem_schema());
        schemas
    }

    /// The names of these messages and of all that lie in them.
    fn reached<'a>(&'a self, types: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut left: Vec<_> = types.collect();
        while let Some((_, message)) = left.pop().and_then(|name| self.message(name)) {
            if reached.insert(message.name()) {
                let fields = message.field.iter().filter(|field| field.r#type() == Type::Message);
                left.extend(fields.map(FieldDescriptorProto::type_name));
            }
        }
        reached
    }
}

/// `object` with one more field.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    object
}

/// `object` with a description, if there is one.
fn described(object: Value, description: &str) -> Value {
    if description.is_empty() { object } else { with(object, "description", description.into()) }
}

/// A comment as one paragraph for each of its own, without the line breaks of its source.
fn plain(comment: &str) -> String {
    let paragraphs = comment.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn numbered<T>(items: &[T]) -> impl Iterator<Item = (i32, &T)> {
    (0..).zip(items)
}

fn member(place: &Place, index: usize) -> Vec<i32> {
    place.iter().copied().chain([MEMBER]).chain(i32::try_from(index)).collect()
}

fn short(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or_default()
}

fn content(type_name: &str) -> Value {
    json!({ "application/json": { "schema": reference(type_name) } })
}

fn reference(type_name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", short(type_name)) })
}

/// A field's schema; those that may be null say so.
fn property(field: &FieldDescriptorProto) -> Value {
    let one = scalar(field);
    match field.label() {
        Label::Repeated => json!({ "type": "array", "items": one }),
        _ if field.proto3_optional() || field.r#type() == Type::Message => {
            json!({ "anyOf": [one, { "type": "null" }] })
        }
        _ => one,
    }
}

fn scalar(field: &FieldDescriptorProto) -> Value {
    match field.r#type() {
        Type::Message => reference(field.type_name()),
        Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int64 => json!({ "type": "integer", "format": "int64" }),
        Type::Uint64 => json!({ "type": "integer", "format": "uint64", "minimum": 0 }),
        Type::Uint32 => json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
        _ => json!({ "type": "string" }),
    }
}

fn problem() -> Value {
    json!({ "$ref": "#/components/responses/Problem" })
}

fn problem_schema() -> Value {
    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "required": ["type", "title", "status", "code", "detail", "retryable"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "`urn:sealpost:error:` and the code." },
            "title": { "type": "string", "description": "The status in words." },
            "status": { "type": "integer", "description": "The HTTP status." },
            "code": { "type": "string", "enum": codes, "description": "The stable code, the same on every transport." },
            "detail": { "type": "string", "description": "For people." },
            "retryable": { "type": "boolean", "description": "Whether the same request may succeed later." },
            "server_time_ms": {
                "type": "integer",
                "format": "uint64",
                "description": "With `clock-skew`: the relay's clock, in milliseconds since 1970.",
            },
            "retry_after_ms": {
                "type": "integer",
                "format": "uint64",
                "description": "With `rate-limited`, where it is known: how long to wait, in milliseconds.",
            },
            "allowed_ms": {
                "type": "integer",
                "format": "uint64",
                "description": "With `clock-skew`: how far a time may be from it on that side, ahead or behind, in milliseconds.",
            },
        },
    })
}

#[cfg(test)]
mod tests;
