//! Changes to a configuration file that keep its comments and its order: what `--fix` and `config set` do.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use super::{ConfigError, portable, proposal, removal, source::Source};

/// How to get one level deeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Key(String),
    /// An entry of a list of tables.
    Index(usize),
}

/// A key in a file: the table that holds it, and its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub steps: Vec<Step>,
    pub key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Rename {
        place: Place,
        to: String,
    },
    /// `value` is TOML. Tables on the way that are not there are made; a comment that proposes the key gives its place.
    Set {
        place: Place,
        value: String,
    },
    /// What is at `span` of the text, without byte-order mark and carriage returns, by other TOML; not if it is no
    /// longer `was`, because somebody changed the file meanwhile.
    Replace {
        file: PathBuf,
        span: Range<usize>,
        was: String,
        value: String,
    },
    /// The comments around it stay: they may be about more than this key.
    Remove {
        place: Place,
    },
    /// Above the first table of the file.
    ToRoot {
        place: Place,
    },
    /// Without what the trainer's parser would not read: a byte-order mark, mixed types, new escapes.
    Readable {
        file: PathBuf,
    },
}

impl Edit {
    pub fn file(&self) -> &Path {
        match self {
            Self::Rename { place, .. }
            | Self::Set { place, .. }
            | Self::Remove { place }
            | Self::ToRoot { place } => &place.file,
            Self::Readable { file } | Self::Replace { file, .. } => file,
        }
    }

    /// What was done, for those who asked for it.
    pub fn done(&self) -> String {
        match self {
            Self::Rename { place, to } => format!("renamed `{}` to `{to}`", place.key),
            Self::Set { place, value } => format!("set `{} = {value}`", place.key),
            Self::Replace { value, .. } => format!("wrote `{value}`"),
            Self::Remove { place } => format!("removed `{}`", place.key),
            Self::ToRoot { place } => format!("moved `{}` to the top of the file", place.key),
            Self::Readable { .. } => "rewrote what the trainer's TOML parser cannot read".to_owned(),
        }
    }
}

/// The text of `source` after `edits`, and which of them were possible. One may have made another one needless.
///
/// # Errors
/// When the outcome is no TOML; then there was a bug of ours, and nothing should be written.
pub fn apply<'e>(source: &Source, edits: &'e [Edit]) -> Result<(String, Vec<&'e Edit>), ConfigError> {
    let mut done = vec![];
    let text = replaced(source, edits, &mut done);
    let mut document: DocumentMut =
        text.parse().map_err(|cause| ConfigError::syntax(source.path(), &text, &cause))?;
    let mut readable = false;
    for edit in edits {
        let did = match edit {
            Edit::Readable { .. } => !std::mem::replace(&mut readable, true),
            Edit::Replace { .. } => continue,
            Edit::Remove { place } if removal::lines(source, place).is_some() => continue,
            Edit::Set { place, value } if proposal::taken(source, place, value).is_some() => continue,
            edit => apply_one(&mut document, edit).is_some(),
        };
        done.extend(did.then_some(edit));
    }
    done.sort_by_key(|it| edits.iter().position(|edit| std::ptr::eq(edit, *it)));
    let edited = Source::parse(source.path(), document.to_string())?;
    let text = if readable {
        portable::rewrite(&edited, &portable::Replaced::new()).0
    } else {
        edited.text().to_owned()
    };
    Ok((source.framed(&text, !readable), done))
}

/// The text with what goes by place in it, from its end, so that the places stay.
fn replaced<'e>(source: &Source, edits: &'e [Edit], done: &mut Vec<&'e Edit>) -> String {
    let mut text = source.text().to_owned();
    let mut by_place: Vec<_> = edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::Replace { span, was, value, .. } => Some((span.clone(), was.as_str(), value.clone(), edit)),
            Edit::Remove { place } => {
                let lines = removal::lines(source, place)?;
                Some((lines.clone(), &source.text()[lines], String::new(), edit))
            }
            Edit::Set { place, value } => {
                let (lines, written) = proposal::taken(source, place, value)?;
                Some((lines.clone(), &source.text()[lines], written, edit))
            }
            _ => None,
        })
        .collect();
    by_place.sort_by_key(|(span, ..)| std::cmp::Reverse(span.start));
    let mut end = text.len();
    for (span, was, value, edit) in by_place {
        if span.end <= end && text.get(span.clone()) == Some(was) {
            text.replace_range(span.clone(), &value);
            end = span.start;
            done.push(edit);
        }
    }
    text
}

fn apply_one(document: &mut DocumentMut, edit: &Edit) -> Option<()> {
    match edit {
        Edit::Rename { place, to } => {
            let table = reach(document, &place.steps, false)?;
            if !table.contains_key(&place.key) || table.contains_key(to) {
                return None;
            }
            rename(table, &place.key, to);
        }
        Edit::Set { place, value } => {
            let table = reach(document, &place.steps, true)?;
            let mut value: Value = value.parse().ok()?;
            match table.get_mut(&place.key) {
                Some(Item::Value(old)) => {
                    *value.decor_mut() = old.decor().clone();
                    *old = value;
                }
                Some(_) => return None,
                None => {
                    table.insert(&place.key, Item::Value(value));
                }
            }
        }
        Edit::Remove { place } => {
            reach(document, &place.steps, false)?.remove(&place.key)?;
        }
        Edit::ToRoot { place } => {
            if document.contains_key(&place.key) {
                return None;
            }
            let table = reach(document, &place.steps, false)?;
            let (key, item) =
                table.get_key_value(&place.key).map(|(key, item)| (key.clone(), item.clone()))?;
            table.remove(&place.key);
            document.as_table_mut().insert_formatted(&key, item);
        }
        Edit::Readable { .. } | Edit::Replace { .. } => {}
    }
    Some(())
}

fn reach<'d>(document: &'d mut DocumentMut, steps: &[Step], make: bool) -> Option<&'d mut dyn TableLike> {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    let mut steps = steps;
    while let [Step::Key(key), rest @ ..] = steps {
        if make && !table.contains_key(key) {
            let is_list = matches!(rest, [Step::Index(_), ..]);
            let tables = || Item::ArrayOfTables(ArrayOfTables::new());
            table.insert(key, if is_list { tables() } else { Item::Table(Table::new()) });
        }
        let item = table.get_mut(key)?;
        steps = rest;
        table = match (item, rest) {
            (Item::ArrayOfTables(tables), [Step::Index(index), rest @ ..]) => {
                steps = rest;
                if make && *index == tables.len() {
                    tables.push(Table::new());
                }
                tables.get_mut(*index)?
            }
            (Item::Value(Value::Array(array)), [Step::Index(index), rest @ ..]) => {
                steps = rest;
                if make && *index == array.len() {
                    array.push(InlineTable::new());
                }
                array.get_mut(*index)?.as_inline_table_mut()?
            }
            (item, _) => item.as_table_like_mut()?,
        };
    }
    Some(table)
}

/// In its place, with the comments around it.
fn rename(table: &mut dyn TableLike, from: &str, to: &str) {
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let entries: Vec<(Key, Item)> = keys
        .iter()
        .filter_map(|key| table.get_key_value(key).map(|(key, item)| (key.clone(), item.clone())))
        .collect();
    table.clear();
    for (key, item) in entries {
        let key = if key.get() == from {
            Key::new(to)
                .with_leaf_decor(key.leaf_decor().clone())
                .with_dotted_decor(key.dotted_decor().clone())
        } else {
            key
        };
        table.entry_format(&key).or_insert(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(steps: &[Step], key: &str) -> Place {
        Place { file: "t.toml".into(), steps: steps.to_vec(), key: key.to_owned() }
    }

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    fn check(text: &str, edits: &[Edit], expected: &str) {
        let source = Source::parse(Path::new("t.toml"), text.to_owned()).expect("valid");
        let (edited, done) = apply(&source, edits).expect("still valid");
        assert_eq!(edited, expected);
        assert_eq!(done.len(), edits.len(), "{done:?}");
        let again = Source::parse(Path::new("t.toml"), edited).expect("valid");
        if !edits.iter().any(|it| matches!(it, Edit::Readable { .. } | Edit::Set { .. })) {
            assert_eq!(apply(&again, edits).expect("valid").1, Vec::<&Edit>::new());
        }
    }

    #[test]
    fn a_key_keeps_its_place_and_its_comments_under_another_name() {
        check(
            "# head\na = 1\n# about b\nb  =  2 # two\n\n[t]\nc = 3\n",
            &[Edit::Rename { place: place(&[], "b"), to: "bee".to_owned() }],
            "# head\na = 1\n# about b\nbee  =  2 # two\n\n[t]\nc = 3\n",
        );
        check(
            "[[d]]\nx = 1\n[[d]]\nx = 2 # this\ny = 3\n",
            &[Edit::Rename { place: place(&[key("d"), Step::Index(1)], "x"), to: "z".to_owned() }],
            "[[d]]\nx = 1\n[[d]]\nz = 2 # this\ny = 3\n",
        );
        check(
            "d = [{ x = 1, y = 2 }, { x = 3 }]\n",
            &[Edit::Rename { place: place(&[key("d"), Step::Index(0)], "x"), to: "z".to_owned() }],
            "d = [{ z = 1, y = 2 }, { x = 3 }]\n",
        );
    }

    #[test]
    fn a_root_key_goes_above_the_first_table_with_its_comment() {
        check(
            "a = 1\n\n# the model\n[model]\ntype = 'wan'\n# how often\nepochs = 5 # times\ndtype = 'x'\n",
            &[Edit::ToRoot { place: place(&[key("model")], "epochs") }],
            "a = 1\n# how often\nepochs = 5 # times\n\n# the model\n[model]\ntype = 'wan'\ndtype = 'x'\n",
        );
    }

    #[test]
    fn a_value_is_set_where_it_is_and_a_table_is_made_where_there_is_none() {
        check(
            "[m]\na  =  'bf16' # why\nb = 1\n",
            &[Edit::Set { place: place(&[key("m")], "a"), value: "'bfloat16'".to_owned() }],
            "[m]\na  =  'bfloat16' # why\nb = 1\n",
        );
        check(
            "a = 1\n",
            &[Edit::Set { place: place(&[key("m")], "b"), value: "[1, 2]".to_owned() }],
            "a = 1\n\n[m]\nb = [1, 2]\n",
        );
    }

    #[test]
    fn what_the_old_parser_cannot_read_is_rewritten_together_with_the_rest() {
        check(
            "[o]\nbetas = [0, 0.99]\nalpha = 3\n",
            &[Edit::Remove { place: place(&[key("o")], "alpha") }, Edit::Readable { file: "t.toml".into() }],
            "[o]\nbetas = [0.0, 0.99]\n",
        );
    }

    #[test]
    fn a_key_is_removed_and_no_comment_but_its_own() {
        let remove = |steps: &[Step], name| [Edit::Remove { place: place(steps, name) }];
        check(
            "# head\n\n# about a\na = 1 # one\n# after\nb = 2\n",
            &remove(&[], "a"),
            "# head\n\n# about a\n# after\nb = 2\n",
        );
        let in_o = remove(&[key("o")], "a");
        check("[o]\n# why\na = 1 # one", &in_o, "[o]\n# why\n");
        check(
            "[o] # o\n# why\na = [ # open\n  1, # first\n]\n\n# t\n[t]\nc = 1\n# end\n",
            &in_o,
            "[o] # o\n# why\n\n# t\n[t]\nc = 1\n# end\n",
        );
        check("# why\no.a = 1 # one\n# b\no.b = 2\n", &in_o, "# why\n# b\no.b = 2\n");
        check("# why\no = { a = 1, b = 2 } # both\n", &in_o, "# why\no = { b = 2 } # both\n");
    }

    #[test]
    fn line_ends_stay_and_a_byte_order_mark_goes_only_when_asked() {
        let readable = [Edit::Readable { file: "t.toml".into() }];
        let rename = [Edit::Rename { place: place(&[], "a"), to: "b".to_owned() }];
        check("\u{feff}a = 1\r\nc = 2\r\n", &rename, "\u{feff}b = 1\r\nc = 2\r\n");
        check("\u{feff}a = 1\r\nc = 2\r\n", &readable, "a = 1\r\nc = 2\r\n");
    }

    #[test]
    fn what_is_gone_or_taken_is_left_alone() {
        let source = Source::parse(Path::new("t.toml"), "a = 1\nb = 2\n".to_owned()).expect("valid");
        let edits = [
            Edit::Rename { place: place(&[], "a"), to: "b".to_owned() },
            Edit::Remove { place: place(&[key("m")], "a") },
            Edit::ToRoot { place: place(&[key("m")], "a") },
        ];
        assert_eq!(apply(&source, &edits).expect("valid"), ("a = 1\nb = 2\n".to_owned(), vec![]));
    }

    #[test]
    fn what_changed_meanwhile_is_not_replaced() {
        let source = Source::parse(Path::new("t.toml"), "# new\na = 1\n".to_owned()).expect("valid");
        let replace = |span, was: &str| {
            let (file, was, value) = (PathBuf::from("t.toml"), was.to_owned(), "2".to_owned());
            apply(&source, &[Edit::Replace { file, span, was, value }]).expect("valid").0
        };
        assert_eq!(replace(4..5, "1"), "# new\na = 1\n");
        assert_eq!(replace(10..11, "1"), "# new\na = 2\n");
    }
}
