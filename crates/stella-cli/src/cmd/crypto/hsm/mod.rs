//! `crypto hsm ...`.

mod auth;
mod examine;
mod failover;
mod logs;
mod pkcs11_info;
mod reconnect;
mod slots;
mod status;

use clap::Args;
use stella_core::api::hsm::{HsmFault, HsmReport};

use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Page;
use crate::replicas::PerHost;

crate::cmd::verbs! {
    Status(status::Status),
    /// Sign with every key that is used on a token, and verify the signatures
    Test(examine::Examine<examine::Test>),
    /// Check the configuration, then the whole way to the keys
    Verify(examine::Examine<examine::Verify>),
    /// Whether the modules answer
    Ping(examine::Examine<examine::Ping>),
    /// Where the way to the keys is cut, step by step (-v tells each)
    Connectivity(examine::Examine<examine::Connectivity>),
    /// Library loaded, slot available, session active
    Pkcs11Status(examine::Examine<examine::Pkcs11Status>),
    Pkcs11Info(pkcs11_info::Pkcs11Info),
    /// Load the library anew, in a worker that proves itself before it is used
    Pkcs11Reload(reconnect::Reconnect),
    /// Connect anew, with library, PIN file and settings as they are now
    Reconnect(reconnect::Reconnect),
    Failover(failover::Failover),
    /// Slots, and the tokens in them
    #[command(subcommand)]
    Slots(slots::Verb),
    Logs(logs::Logs),
    /// The PIN
    #[command(subcommand)]
    Auth(auth::Verb),
    /// Settings
    #[command(subcommand)]
    Config(super::super::config::Verb),
}

/// Hardware security modules: are they there, and do they sign
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Hsm {
    #[command(flatten)]
    host: PerHost,
    #[command(subcommand)]
    verb: Verb,
}

impl Hsm {
    pub async fn run(self, context: &Context) -> Outcome {
        self.verb.run(context).await
    }
}

#[derive(Args)]
pub struct ModuleArg {
    /// Only this module of the configuration (hsm.modules)
    #[arg(long, value_name = "NAME")]
    module: Option<String>,
}

/// The steps, and what ended the way. All of them where there is trouble or
/// more was asked for.
fn report(context: &Context, report: &HsmReport, each: bool) -> Outcome {
    context.printer.answer(report, |page| {
        for module in &report.modules {
            let took: f64 = module.steps.iter().map(|step| step.milliseconds).sum();
            page.line(format!(
                "{} {}: {} ({took:.1} ms)",
                page.tick(module.ok),
                module.module,
                if module.ok { "reached" } else { "not reached" }
            ));
            for step in &module.steps {
                if each || !step.ok {
                    page.line(format!(
                        "  {} {}: {} ({:.1} ms)",
                        page.tick(step.ok),
                        step.step,
                        step.measured,
                        step.milliseconds
                    ));
                }
                if let Some(fault) = &step.fault {
                    mend(page, fault);
                }
            }
        }
        page.brief(if report.ok { "ok" } else { "failed" });
    })?;
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

fn mend(page: &mut Page, fault: &HsmFault) {
    page.line(format!("      because: {}", fault.cause));
    page.line(format!("      next: {}", fault.next));
}
