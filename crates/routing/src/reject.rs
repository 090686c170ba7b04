//! Why a resource cannot be used. In: the field and a remedy. Out: text for the NACK and the log.

/// A refused resource. The whole resource is refused; what was there before stays in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{resource}: {field}: {problem}: {remedy}")]
pub struct Reject {
    pub resource: String,
    /// The path of the field, such as `filter_chains[0].filters[1]`.
    pub field: String,
    pub problem: String,
    pub remedy: String,
}

/// A refusal before the name of the resource is put to it.
pub(crate) type Refusal = Box<Refused>;

#[derive(Debug)]
pub(crate) struct Refused {
    field: String,
    problem: String,
    remedy: String,
}

/// Makes a [`Refusal`].
pub(crate) fn refuse(
    field: impl Into<String>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Refusal {
    Box::new(Refused { field: field.into(), problem: problem.into(), remedy: remedy.into() })
}

impl Refused {
    pub(crate) fn within(mut self: Box<Self>, parent: &str) -> Box<Self> {
        self.field = if self.field.is_empty() {
            parent.to_owned()
        } else {
            format!("{parent}.{}", self.field)
        };
        self
    }

    pub(crate) fn of(self, resource: &str) -> Reject {
        Reject {
            resource: resource.to_owned(),
            field: self.field,
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}
