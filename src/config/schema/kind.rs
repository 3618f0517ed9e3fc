//! What type a value has to have, as the schema's files write it: `list[[int,int]]`, `bool|string`.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer, de};

/// The type of a value. The trainer takes an integer where a float is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    Float,
    Bool,
    /// One of [`super::About::dtypes`], as text.
    Dtype,
    /// Text that names a file or folder.
    Path,
    Table,
    /// An array of any length.
    List(Box<Self>),
    /// An array of as many values: `[int,int]`.
    Tuple(Vec<Self>),
    AnyOf(Vec<Self>),
}

impl Kind {
    /// What the kind is by itself, without the alternatives of an [`Kind::AnyOf`].
    pub fn alternatives(&self) -> &[Self] {
        match self {
            Self::AnyOf(kinds) => kinds,
            kind => std::slice::from_ref(kind),
        }
    }

    /// As in "must be …".
    pub fn in_words(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Dtype => "a data type".to_owned(),
            Self::Int => "a whole number".to_owned(),
            Self::Float => "a number".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Table => "a table".to_owned(),
            Self::List(kind) => format!("a list of {}", kind.plural()),
            Self::Tuple(kinds) => format!("`[{}]`", kinds.iter().map(|_| "n").collect::<Vec<_>>().join(", ")),
            Self::AnyOf(kinds) => {
                let mut names: Vec<String> = kinds.iter().map(Self::in_words).collect();
                names.dedup();
                names.join(", or ")
            }
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Text => "strings".to_owned(),
            Self::Path => "paths".to_owned(),
            Self::Int => "whole numbers".to_owned(),
            Self::Float => "numbers".to_owned(),
            Self::Table => "tables".to_owned(),
            Self::Tuple(kinds) if kinds.len() == 2 => "pairs `[a, b]`".to_owned(),
            other => other.in_words(),
        }
    }

    /// Reads `text` whole.
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = Self::parse_union(text)?;
        rest.is_empty().then_some(kind)
    }

    fn parse_union(text: &str) -> Option<(Self, &str)> {
        let (first, mut rest) = Self::parse_one(text)?;
        let mut kinds = vec![first];
        while let Some(more) = rest.strip_prefix('|') {
            let (kind, after) = Self::parse_one(more)?;
            kinds.push(kind);
            rest = after;
        }
        let only = kinds.len() == 1;
        Some((if only { kinds.remove(0) } else { Self::AnyOf(kinds) }, rest))
    }

    fn parse_one(text: &str) -> Option<(Self, &str)> {
        if let Some(inner) = text.strip_prefix("list[") {
            let (kind, rest) = Self::parse_union(inner)?;
            return Some((Self::List(Box::new(kind)), rest.strip_prefix(']')?));
        }
        if let Some(mut inner) = text.strip_prefix('[') {
            let mut kinds = vec![];
            loop {
                let (kind, rest) = Self::parse_union(inner)?;
                kinds.push(kind);
                if let Some(rest) = rest.strip_prefix(']') {
                    return Some((Self::Tuple(kinds), rest));
                }
                inner = rest.strip_prefix(',')?;
            }
        }
        let end = text.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(text.len());
        let kind = match &text[..end] {
            "string" => Self::Text,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "dtype" => Self::Dtype,
            "path" => Self::Path,
            "table" => Self::Table,
            _ => return None,
        };
        Some((kind, &text[end..]))
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no type")))
    }
}

/// As in the schema's files.
impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As in the schema's files.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, kinds: &[Self], between: &str| {
            kinds.iter().enumerate().try_for_each(|(index, kind)| {
                if index > 0 {
                    f.write_str(between)?;
                }
                write!(f, "{kind}")
            })
        };
        match self {
            Self::Text => f.write_str("string"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Bool => f.write_str("bool"),
            Self::Dtype => f.write_str("dtype"),
            Self::Path => f.write_str("path"),
            Self::Table => f.write_str("table"),
            Self::List(kind) => write!(f, "list[{kind}]"),
            Self::Tuple(kinds) => {
                f.write_str("[")?;
                joined(f, kinds, ",")?;
                f.write_str("]")
            }
            Self::AnyOf(kinds) => joined(f, kinds, "|"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_words() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Kind::parse(text).map(|it| it.in_words()).as_deref(), Some(expected));
        };
        check("int|list[[int,int]]", "a whole number, or a list of pairs `[a, b]`");
        check("list[path]", "a list of paths");
        check("bool|string", "`true` or `false`, or a string");
    }

    #[test]
    fn a_type_is_read_as_it_is_written() {
        let check = |text: &str, expected: Option<Kind>| {
            assert_eq!(Kind::parse(text), expected, "{text}");
            if let Some(kind) = expected {
                assert_eq!(kind.to_string(), text);
            }
        };
        let list = |kind| Kind::List(Box::new(kind));
        check("int", Some(Kind::Int));
        check("list[table]", Some(list(Kind::Table)));
        check(
            "int|list[[int,int]]",
            Some(Kind::AnyOf(vec![Kind::Int, list(Kind::Tuple(vec![Kind::Int, Kind::Int]))])),
        );
        for wrong in ["", "integer", "list[int", "list[]", "int|", "[int,]", "int]", "int, int"] {
            check(wrong, None);
        }
    }
}
