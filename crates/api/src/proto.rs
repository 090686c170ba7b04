//! What the protobuf messages of Istio's API have in common when they are JSON.
//!
//! In: struct definitions in the form `messages! { pub struct … }`. Out: the same structs with the
//! derives, camelCase names, absent-is-default reading and empty-is-absent writing.

use std::collections::BTreeMap;

/// Defines structs that read and write as protobuf JSON does.
macro_rules! messages {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* })*) => {
        $(
            #[derive(
                Debug, Clone, Default, PartialEq,
                serde::Serialize, serde::Deserialize, schemars::JsonSchema,
            )]
            #[serde(rename_all = "camelCase", default)]
            $(#[$meta])*
            pub struct $name {
                $(
                    $(#[$field_meta])*
                    #[serde(skip_serializing_if = "crate::proto::Absent::is_absent")]
                    pub $field: $ty,
                )*
            }
        )*
    };
}
pub(crate) use messages;

/// A value that protobuf's JSON leaves out.
pub(crate) trait Absent {
    fn is_absent(&self) -> bool;
}

impl Absent for String {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Absent for BTreeMap<K, V> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
