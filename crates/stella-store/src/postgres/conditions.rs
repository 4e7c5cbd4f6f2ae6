//! What people filter by, as a statement that asks for nothing else: a plan
//! for every combination would use an index for none.

use tokio_postgres::types::ToSql;

pub(super) struct Conditions {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    /// Of all that this statement yields.
    pub(super) fn of(select: &str) -> Self {
        Self {
            sql: format!("{select} WHERE TRUE"),
            values: Vec::new(),
        }
    }

    /// With the value, where there is one, between the two texts.
    pub(super) fn and<T>(&mut self, before: &str, value: Option<T>, after: &str)
    where
        T: ToSql + Sync + Send + 'static,
    {
        if let Some(value) = value {
            let n = self.value(value);
            self.also(&format!("{before} ${n}{after}"));
        }
    }

    pub(super) fn also(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    /// Its number in the statement.
    pub(super) fn value<T: ToSql + Sync + Send + 'static>(&mut self, value: T) -> usize {
        self.values.push(Box::new(value));
        self.values.len()
    }

    pub(super) fn ends(&mut self, with: &str) {
        self.sql.push_str(with);
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as _).collect()
    }
}
