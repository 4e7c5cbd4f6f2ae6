//! A PKCS#11 client that does what it reads, one command a line, and caches
//! key handles as signers do. The test program starts itself again for it, in
//! the environment that the module needs.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use stella_testkit::token::Token;

pub struct Client {
    process: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl Client {
    pub fn of(token: &Token) -> Self {
        Self::of_module(token, token.module())
    }

    pub fn of_module(token: &Token, module: &Path) -> Self {
        let exe = std::env::current_exe().expect("this program");
        let mut process = Command::new(exe)
            .args(["plain_client", "--exact", "--ignored", "--nocapture"])
            .envs(token.environment().iter().map(|(name, value)| (name, value)))
            .env("CLIENT_MODULE", module)
            .env("CLIENT_LABEL", token.label())
            .env("CLIENT_PIN", token.pin())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a client");
        let output = process.stdout.take().expect("its answers");
        let (send, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, answer)) = line.split_once("> ") {
                    let _ = send.send(answer.to_owned());
                }
            }
        });
        Self {
            commands: process.stdin.take().expect("its commands"),
            answers,
            process,
        }
    }

    pub fn ask(&mut self, command: &str) -> String {
        let _ = writeln!(self.commands, "{command}");
        self.answer()
    }

    pub fn ask_for_millis(&mut self, command: &str, millis: u64) -> Option<String> {
        let _ = writeln!(self.commands, "{command}");
        self.answers.recv_timeout(Duration::from_millis(millis)).ok()
    }

    pub fn answer(&mut self) -> String {
        self.answers.recv().unwrap_or_else(|_| "ended".to_owned())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other side.
pub fn serve() {
    let variable = |name| std::env::var(name).expect("a variable of the client");
    let (label, pin) = (variable("CLIENT_LABEL"), variable("CLIENT_PIN"));
    let module = Pkcs11::new(variable("CLIENT_MODULE")).expect("a module");
    let initialized = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let mut open = Open {
        module,
        label,
        session: None,
        keys: HashMap::new(),
    };
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match &initialized {
            Err(e) => Err(said(e)),
            Ok(()) => open.answer(&words, &pin).map_err(|e| said(&e)),
        };
        // What libtest prints of its own may stand before it in the line.
        println!("> {}", answer.unwrap_or_else(|e| e));
    }
}

struct Open {
    module: Pkcs11,
    label: String,
    session: Option<Session>,
    keys: HashMap<String, (ObjectHandle, ObjectHandle, bool)>,
}

impl Open {
    fn answer(&mut self, words: &[&str], pin: &str) -> Result<String, Error> {
        match words {
            ["slots"] => {
                let mut shown = Vec::new();
                for slot in self.module.get_slots_with_initialized_token()? {
                    let label = self.module.get_token_info(slot)?.label().to_owned();
                    shown.push(format!("{}={label}", slot.id()));
                }
                Ok(shown.join(" "))
            }
            ["flags"] => {
                let mut shown = "";
                for slot in self.module.get_slots_with_initialized_token()? {
                    let info = self.module.get_token_info(slot)?;
                    shown = match () {
                        () if info.user_pin_locked() => "locked",
                        () if info.user_pin_final_try() => "final-try",
                        () if info.user_pin_count_low() => "count-low",
                        () => shown,
                    };
                }
                Ok(shown.to_owned())
            }
            ["login"] => self.login(pin),
            ["login", other] => self.login(other),
            ["find", label] => Ok(format!(
                "{} keys",
                self.find(ObjectClass::PRIVATE_KEY, label)?.len()
            )),
            ["point", label] => {
                let public = self.find(ObjectClass::PUBLIC_KEY, label)?[0];
                let found = self.session().get_attributes(public, &[AttributeType::EcPoint])?;
                match &found[..] {
                    [Attribute::EcPoint(point)] => Ok(format!("{} bytes", point.len())),
                    other => Ok(format!("{other:?}")),
                }
            }
            ["sign", label] => self.sign(label),
            ["ml-dsa", label] => self.ml_dsa(label),
            other => Ok(format!("not understood: {other:?}")),
        }
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect("logged in before")
    }

    fn login(&mut self, pin: &str) -> Result<String, Error> {
        for slot in self.module.get_slots_with_initialized_token()? {
            if self.module.get_token_info(slot)?.label() == self.label {
                let session = self.module.open_rw_session(slot)?;
                session.login(UserType::User, Some(&AuthPin::from(pin)))?;
                self.session = Some(session);
                return Ok("ok".to_owned());
            }
        }
        Ok("no such token".to_owned())
    }

    fn find(&self, class: ObjectClass, label: &str) -> Result<Vec<ObjectHandle>, Error> {
        let template = [Attribute::Class(class), Attribute::Label(label.into())];
        self.session().find_objects(&template)
    }

    fn sign(&mut self, label: &str) -> Result<String, Error> {
        if !self.keys.contains_key(label) {
            let private = self.find(ObjectClass::PRIVATE_KEY, label)?[0];
            let public = self.find(ObjectClass::PUBLIC_KEY, label)?[0];
            let kind = self.session().get_attributes(public, &[AttributeType::KeyType])?;
            let edwards = kind == [Attribute::KeyType(KeyType::EC_EDWARDS)];
            self.keys.insert(label.to_owned(), (private, public, edwards));
        }
        let (private, public, edwards) = self.keys[label];
        let mechanism = match edwards {
            true => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
            false => Mechanism::Ecdsa,
        };
        self.signed(&mechanism, private, public)
    }

    fn ml_dsa(&self, label: &str) -> Result<String, Error> {
        let public = [
            Attribute::Token(false),
            Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_65.into()),
            Attribute::Verify(true),
        ];
        let private = [
            Attribute::Token(false),
            Attribute::Sign(true),
            Attribute::Label(label.into()),
        ];
        let made = self
            .session()
            .generate_key_pair(&Mechanism::MlDsaKeyPairGen, &public, &private)?;
        let mechanism = Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None));
        self.signed(&mechanism, made.1, made.0)
    }

    fn signed(
        &self,
        mechanism: &Mechanism,
        key: ObjectHandle,
        public: ObjectHandle,
    ) -> Result<String, Error> {
        let digest = [7; 32];
        let signature = self.session().sign(mechanism, key, &digest)?;
        let verdict = match self.session().verify(mechanism, public, &digest, &signature) {
            Ok(()) => "verified",
            Err(_) => "WRONG",
        };
        Ok(format!("{} bytes, {verdict}", signature.len()))
    }
}

fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(rv, function) => format!("{function:?}: {rv:?}"),
        other => other.to_string(),
    }
}
