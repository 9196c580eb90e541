//! Bytes as base64 text in JSON: the standard alphabet, with padding (RFC 4648, section 4).

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

fn from_text<'de, D: Deserializer<'de>>(text: &str) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(text).map_err(|_| D::Error::custom("expected base64 of the standard alphabet, with padding"))
}

/// A field of bytes.
pub(crate) mod single {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        from_text::<D>(&String::deserialize(deserializer)?)
    }
}

/// A field of bytes that may be absent.
pub(crate) mod option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| from_text::<D>(&text)).transpose()
    }
}

/// A list of byte strings.
pub(crate) mod list {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(items: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(items.iter().map(|bytes| STANDARD.encode(bytes)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| from_text::<D>(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::v1;

    #[test]
    fn bytes_travel_as_base64_and_read_back() {
        let request = v1::SendRequest {
            header: vec![0xff, 0xfe],
            body: Some(vec![1]),
            upload_id: None,
            parts: vec![v1::Part { recipient: "agent1".into(), attempt: 1, envelope: vec![] }],
            retention: None,
        };
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(
            json,
            r#"{"header":"//4=","body":"AQ==","parts":[{"recipient":"agent1","attempt":1,"envelope":""}],"upload_id":null,"retention":null}"#
        );
        assert_eq!(serde_json::from_str::<v1::SendRequest>(&json).unwrap(), request);
    }

    #[test]
    fn absent_fields_have_their_default_and_unknown_ones_are_refused() {
        let request: v1::UploadPrekeysRequest = serde_json::from_str(r#"{"one_time_curve":["AA=="]}"#).unwrap();
        assert_eq!((request.manifest.len(), request.one_time_curve), (0, vec![vec![0]]));
        assert!(serde_json::from_str::<v1::UploadPrekeysRequest>(r#"{"one_time_curves":[]}"#).is_err());
        assert!(serde_json::from_str::<v1::UploadPrekeysRequest>(r#"{"manifest":"not base64"}"#).is_err());
    }
}
