//! Compiles the `.proto` files in Rust, so that no `protoc` is needed, and gives every message a JSON form: the proto's
//! own field names, bytes in base64.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use prost_types::{
    FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use tonic_prost_build::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(["sealpost/v1/sealpost.proto"], ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("sealpost.v1.bin"), descriptors.encode_to_vec())?;
    json_forms(tonic_prost_build::configure(), &descriptors).compile_fds(descriptors)?;
    tonic_prost_build::configure().compile_fds(protox::compile(["sealpost/bench/v1/echo.proto"], ["proto"])?)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}

fn json_forms(builder: Builder, descriptors: &FileDescriptorSet) -> Builder {
    let mut builder = builder
        .message_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default, deny_unknown_fields)]");
    for file in &descriptors.file {
        for message in &file.message_type {
            for field in message.field.iter().filter(|field| field.r#type() == Type::Bytes) {
                let form = match (field.label(), field.proto3_optional()) {
                    (Label::Repeated, _) => "list",
                    (_, true) => "option",
                    (_, false) => "single",
                };
                let path = format!("{}.{}", message.name(), field.name());
                builder = builder.field_attribute(path, format!("#[serde(with = \"crate::base64_json::{form}\")]"));
            }
        }
    }
    builder
}
