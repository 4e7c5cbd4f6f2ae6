//! `anchor add-key`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::anchors::{AddKey as Request, AnchorList, KeyAddition};

use crate::api::{Api, Route};
use crate::args::ids::AnchorsArg;
use crate::args::time::Moment;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Page;

/// Let a key into an anchor, or into ALL that hold or held a key of its profile
///
/// Without an anchor it goes into the only one there is.
#[derive(Args)]
#[command(mut_group("AnchorsArg", |group| group.required(false)))]
pub struct AddKey {
    #[command(flatten)]
    anchors: Option<AnchorsArg>,
    /// The key (default: the name of --key's file)
    #[arg(long, value_name = "KEY_ID", required_unless_present = "key")]
    key_id: Option<String>,
    /// The public key, where it is not known yet: PEM, or base64 of DER
    #[arg(long, alias = "public-key", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Until when the anchor accepts what it signs
    #[arg(long, alias = "expires-at", value_name = "TIME")]
    expires: Option<Moment>,
    /// When a key that is not known yet was made
    #[arg(long, value_name = "TIME", requires = "key")]
    created_at: Option<Moment>,
    /// Only show what it would touch
    #[arg(long)]
    dry_run: bool,
}

impl AddKey {
    pub async fn run(self, context: &Context) -> Outcome {
        let key_id = match (self.key_id, &self.key) {
            (Some(id), _) => id,
            (None, Some(file)) => name_of(file)?,
            (None, None) => {
                return Err(CliError::usage("no key was given").next("give --key-id or --key FILE"));
            }
        };
        let request = Request {
            keyid: key_id,
            public_key: self.key.as_deref().map(files::read_key).transpose()?,
            expires_at: self.expires.map(String::from),
            created_at: self.created_at.map(String::from),
            dry_run: self.dry_run,
        };
        let api = context.api().await?;
        let anchor = match self.anchors {
            Some(anchors) => anchors.id().to_owned(),
            None => only_anchor(&api, context).await?,
        };
        let route = Route::to(&["anchors", &anchor, "keys"]);
        if anchor == "ALL" && !self.dry_run {
            let rehearsal = Request {
                dry_run: true,
                ..request.clone()
            };
            let radius: KeyAddition = api.post(&route, &rehearsal).await?;
            context.confirm(|page| describe(page, &radius), "Add it to all of them?")?;
        }
        let done: KeyAddition = api.post(&route, &request).await?;
        context.printer.answer(&done, |page| {
            describe(page, &done);
            page.brief(&done.key_id);
        })?;
        Ok(Exit::Done)
    }
}

fn describe(page: &mut Page, addition: &KeyAddition) {
    let verb = if addition.dry_run { "adding" } else { "added" };
    page.line(format!("{verb} {}", addition.key_id));
    page.field(
        "  to",
        format!("{}: {}", addition.added_to.len(), addition.added_to.join(", ")),
    );
    if !addition.held_already.is_empty() {
        page.field("  already in", addition.held_already.join(", "));
    }
    if addition.activated {
        let verb = if addition.dry_run {
            "would now sign"
        } else {
            "now signs"
        };
        page.field("  signing", format!("{} {verb} for its profile", addition.key_id));
        page.maybe("  before it", addition.outgoing.as_ref());
    }
    if !addition.lacking_anchors.is_empty() {
        page.field("  signing", "begins once these hold it as well");
        page.field("  not yet in", addition.lacking_anchors.join(", "));
    }
}

/// Guessing among several would widen trust by accident.
async fn only_anchor(api: &Api, context: &Context) -> Result<String, CliError> {
    let list: AnchorList = api.get(&Route::to(&["anchors"])).await?;
    match list.anchors.as_slice() {
        [only] => Ok(only.trust_anchor_id.clone()),
        [] => Err(
            CliError::new(Exit::NotFound, "anchor.none", "there is no trust anchor").next(format!(
                "{} anchor create --purl-pattern PATTERN",
                context.program
            )),
        ),
        several => Err(CliError::usage(format!(
            "which of the {} anchors the key goes into was not said",
            several.len()
        ))
        .next(format!(
            "{} anchor list, then the same command with --anchor-id ID",
            context.program
        ))),
    }
}

fn name_of(file: &std::path::Path) -> Result<String, CliError> {
    file.file_stem()
        .and_then(|stem| stem.to_str())
        .filter(|stem| *stem != "-" && !stem.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| CliError::usage("the key has no name").next("give --key-id"))
}
