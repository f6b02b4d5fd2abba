//! What a secret reference is bound to: the driver's kind, the host, the port, the TLS floor, and the
//! authorities that the peer's certificate may lead to.
//!
//! Pure. A reference that was sent to one endpoint is not sent to another one because a configuration says
//! so: the change is approved on the spot, by a person. [`Bindings::rule`] decides; the agent writes a new
//! pin down *before* it sends the secret. In strict mode nothing is pinned by itself. A binding is about
//! the document, whatever field of it is used, and a stronger TLS floor needs no approval.
//!
//! A first use may pin on trial: then it takes the pin back when the secret was surely not sent, and lets it
//! stand when it may have been. Anybody else who sends the secret there ends the trial before, so that no
//! secret that was sent is bound to nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use model::{Code, Failure, Retry, Timestamp};
use serde::{Deserialize, Serialize};

use crate::reference::{Document, Reference};

pub use authorities::{Authorities, AuthoritiesFault};
pub use host::{HostFault, HostPattern};

mod authorities;
mod host;

/// The least protection a connection has, from none to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsFloor {
    /// Clear text is possible.
    None,
    /// Always encrypted; the peer is not verified.
    Encrypted,
    /// Encrypted, and the peer's chain leads to a trusted root.
    VerifiedChain,
    /// Encrypted, trusted chain, and the name in the certificate is the host's.
    VerifiedName,
}

impl TlsFloor {
    /// Every floor, weakest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Encrypted, Self::VerifiedChain, Self::VerifiedName];

    /// Returns the word for commands, files and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Encrypted => "encrypted",
            Self::VerifiedChain => "verified_chain",
            Self::VerifiedName => "verified_name",
        }
    }
}

impl fmt::Display for TlsFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a text is not a TLS floor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a TLS floor: give none, encrypted, verified_chain or verified_name")]
pub struct TlsFloorFault {
    text: String,
}

impl FromStr for TlsFloor {
    type Err = TlsFloorFault;
    fn from_str(text: &str) -> Result<Self, TlsFloorFault> {
        Self::ALL
            .into_iter()
            .find(|floor| floor.word() == text)
            .ok_or_else(|| TlsFloorFault { text: text.into() })
    }
}

/// Where a secret would be sent: what a driver reads from an integration's settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The driver's kind, for example `postgresql`.
    pub kind: String,
    pub host: String,
    pub port: u16,
    pub tls_floor: TlsFloor,
    /// Whose certificates are believed; `None` where no chain is looked at.
    pub authorities: Option<Authorities>,
}

/// How a binding came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// By the first use.
    Pinned,
    /// By a person on the spot.
    Approved,
    /// By the agent's own configuration.
    Listed,
}

/// One endpoint, or a family of them, to which a document may be sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    pub kind: String,
    pub host: HostPattern,
    pub port: u16,
    pub tls_floor: TlsFloor,
    /// `None`: whichever. So it is where no chain was looked at, and in what builds pinned that knew none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<Authorities>,
    pub origin: Origin,
    pub since: Timestamp,
    /// Whoever pinned it has not sent the secret yet, and nobody else has relied on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// Names one first use among all, of whichever process: who knows it may take back what it pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trial(String);

impl Trial {
    /// Takes a name that nobody else gives.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

impl Binding {
    /// Returns true when the endpoint may have the secret.
    pub fn admits(&self, endpoint: &Endpoint) -> bool {
        self.differences(endpoint).is_empty()
    }

    fn differences(&self, endpoint: &Endpoint) -> Vec<String> {
        let mut differences = vec![];
        if self.kind != endpoint.kind {
            differences.push(format!("kind {:?} instead of {:?}", endpoint.kind, self.kind));
        }
        if !self.host.admits(&endpoint.host) {
            differences.push(format!("host {:?} instead of {:?}", endpoint.host, self.host.as_str()));
        }
        if self.port != endpoint.port {
            differences.push(format!("port {} instead of {}", endpoint.port, self.port));
        }
        if endpoint.tls_floor < self.tls_floor {
            differences
                .push(format!("TLS floor {} instead of at least {}", endpoint.tls_floor, self.tls_floor));
        }
        if let (Some(bound), Some(given)) = (&self.authorities, &endpoint.authorities)
            && bound != given
        {
            differences.push(format!("authorities {given} instead of {bound}"));
        }
        differences
    }

    /// Whether an older build pinned it, without the authorities that are asked for now.
    fn lacks_authorities(&self, endpoint: &Endpoint) -> bool {
        self.origin == Origin::Pinned && self.authorities.is_none() && endpoint.authorities.is_some()
    }
}

/// What happens to a reference that is bound to nothing yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Its first use pins it.
    #[default]
    FirstUse,
    /// It is refused: bindings are listed or approved up front.
    Strict,
}

/// What [`Bindings::rule`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// Send it.
    Bound,
    /// It is bound by a pin that its maker may still take back: call [`Bindings::rely`], durably; then send it.
    Tried,
    /// Write this binding down with [`Bindings::add`], durably; then send it.
    Pin(Binding),
}

/// All bindings of one agent, by document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bindings(BTreeMap<Document, Vec<Binding>>);

impl Bindings {
    /// Decides whether what the reference names may be sent to the endpoint.
    ///
    /// # Errors
    /// `binding_refused` with what differs and the command that approves it; `config_refused` when the
    /// host is no host.
    pub fn rule(
        &self,
        mode: Mode,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Ruling, Failure> {
        let host = HostPattern::exact(&endpoint.host).map_err(|fault| {
            Failure::refused(Code::CONFIG_REFUSED, format!("the integration's host: {fault}"))
        })?;
        let bound = self.of(&reference.document());
        let mut admitting = bound.iter().filter(|binding| binding.admits(endpoint)).peekable();
        if admitting.peek().is_some() {
            let pinned_before = admitting.clone().find(|binding| binding.lacks_authorities(endpoint));
            return Ok(match pinned_before {
                Some(pin) if admitting.all(|binding| binding.lacks_authorities(endpoint)) => {
                    let authorities = endpoint.authorities.clone();
                    Ruling::Pin(Binding { authorities, trial: None, ..pin.clone() })
                }
                _ if bound.iter().any(|one| one.trial.is_some() && one.admits(endpoint)) => Ruling::Tried,
                _ => Ruling::Bound,
            });
        }
        let nearest = bound.iter().map(|binding| binding.differences(endpoint)).min_by_key(Vec::len);
        match (nearest, mode) {
            (None, Mode::FirstUse) => Ok(Ruling::Pin(Binding {
                kind: endpoint.kind.clone(),
                host,
                port: endpoint.port,
                tls_floor: endpoint.tls_floor,
                authorities: endpoint.authorities.clone(),
                origin: Origin::Pinned,
                since: now,
                trial: None,
            })),
            (None, Mode::Strict) => {
                Err(refused(reference, endpoint, "is bound to nothing, and strict mode pins nothing"))
            }
            (Some(differences), _) => {
                let what = format!("is bound, and this would send it to {}", differences.join(", "));
                Err(refused(reference, endpoint, &what))
            }
        }
    }

    /// Adds a binding, in place of an equal one of another origin or TLS floor. Other authorities stand
    /// beside those of before.
    pub fn add(&mut self, document: Document, binding: Binding) {
        let bound = self.0.entry(document).or_default();
        bound.retain(|held| {
            let same_place =
                (&held.kind, &held.host, held.port) == (&binding.kind, &binding.host, binding.port);
            let completed = held.origin == Origin::Pinned && held.authorities.is_none();
            !(same_place && (held.authorities == binding.authorities || completed))
        });
        bound.push(binding);
        bound.sort();
    }

    /// Removes all bindings of a document and returns them.
    pub fn remove(&mut self, document: &Document) -> Vec<Binding> {
        self.0.remove(document).unwrap_or_default()
    }

    /// Ends every trial of a pin that lets the document go to the endpoint: nobody takes it back any more.
    pub fn rely(&mut self, document: &Document, endpoint: &Endpoint) {
        let bound = self.0.get_mut(document).into_iter().flatten();
        for binding in bound.filter(|binding| binding.admits(endpoint)) {
            binding.trial = None;
        }
    }

    /// Ends a trial, if it goes on: what it pinned stands.
    pub fn settle(&mut self, document: &Document, trial: &Trial) {
        let bound = self.0.get_mut(document).into_iter().flatten();
        for binding in bound.filter(|binding| binding.trial.as_ref() == Some(trial)) {
            binding.trial = None;
        }
    }

    /// Takes back what a trial pinned, if it goes on; tells whether it did.
    pub fn retract(&mut self, document: &Document, trial: &Trial) -> bool {
        let Some(bound) = self.0.get_mut(document) else { return false };
        let before = bound.len();
        bound.retain(|binding| binding.trial.as_ref() != Some(trial));
        let taken = bound.len() < before;
        if bound.is_empty() {
            self.0.remove(document);
        }
        taken
    }

    /// Returns the bindings of a document.
    pub fn of(&self, document: &Document) -> &[Binding] {
        self.0.get(document).map_or(&[], Vec::as_slice)
    }

    /// Returns every document with its bindings.
    pub fn iter(&self) -> impl Iterator<Item = (&Document, &[Binding])> {
        self.0.iter().map(|(document, bound)| (document, bound.as_slice()))
    }
}

/// Returns the command that approves sending the reference to the endpoint.
pub fn approval(reference: &Reference, endpoint: &Endpoint) -> String {
    let authorities = endpoint.authorities.as_ref();
    format!(
        "tidegate bindings approve {} --kind {} --host {} --port {} --tls {}{}",
        quoted(reference.document().as_str()),
        quoted(&endpoint.kind),
        quoted(&endpoint.host),
        endpoint.port,
        endpoint.tls_floor,
        authorities.map(|given| format!(" --authorities {given}")).unwrap_or_default(),
    )
}

fn refused(reference: &Reference, endpoint: &Endpoint, what: &str) -> Failure {
    Failure::refused(
        Code::BINDING_REFUSED,
        format!("{reference} {what}: if that is meant, run {}", approval(reference, endpoint)),
    )
    .with_retry(Retry::NeedsHuman)
}

/// Quotes for a shell what a person may paste there; the text may come from somebody hostile.
fn quoted(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '@' | '+' | ',');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text.into()
    } else {
        let visible: String = text.chars().filter(|c| !c.is_control()).collect();
        format!("'{}'", visible.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn endpoint(kind: &str, host: &str, port: u16, tls_floor: TlsFloor) -> Endpoint {
        Endpoint { kind: kind.into(), host: host.into(), port, tls_floor, authorities: None }
    }

    fn led_to(authorities: Option<Authorities>) -> Endpoint {
        let named = endpoint("postgresql", "db.example.com", 5432, TlsFloor::VerifiedName);
        Endpoint { authorities, ..named }
    }

    fn binding(host: &str, port: u16, tls_floor: TlsFloor) -> Binding {
        Binding {
            kind: "postgresql".into(),
            host: HostPattern::parse(host).unwrap(),
            port,
            tls_floor,
            authorities: None,
            origin: Origin::Listed,
            since: NOW,
            trial: None,
        }
    }

    fn bound(bindings: &[Binding]) -> (Bindings, Reference) {
        let reference = Reference::parse("file://pg/admin").unwrap();
        let mut all = Bindings::default();
        for binding in bindings {
            all.add(reference.document(), binding.clone());
        }
        (all, reference)
    }

    #[test]
    fn the_floors_are_ordered_and_have_words() {
        assert!(TlsFloor::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for floor in TlsFloor::ALL {
            assert_eq!(floor.word().parse::<TlsFloor>().unwrap(), floor);
            assert_eq!(serde_json::to_string(&floor).unwrap(), format!("\"{floor}\""));
        }
        assert!("verify-full".parse::<TlsFloor>().is_err());
    }

    #[test]
    fn what_is_bound_goes_only_where_it_is_bound_to() {
        use TlsFloor::{Encrypted, None as Clear, VerifiedChain, VerifiedName};
        let held = [
            binding("db.example.com", 5432, VerifiedChain),
            binding("*.eu.example.com", 5432, VerifiedName),
            binding("2001:db8::1", 5433, Clear),
        ];
        let (bindings, reference) = bound(&held);
        let pg = |host, port, floor| endpoint("postgresql", host, port, floor);
        let table = [
            ("the same", pg("db.example.com", 5432, VerifiedChain), true),
            ("stronger TLS", pg("db.example.com", 5432, VerifiedName), true),
            ("case and trailing dot", pg("DB.example.COM.", 5432, VerifiedChain), true),
            ("weaker TLS", pg("db.example.com", 5432, Encrypted), false),
            ("no TLS", pg("db.example.com", 5432, Clear), false),
            ("another port", pg("db.example.com", 5433, VerifiedChain), false),
            ("another host", pg("evil.example.com", 5432, VerifiedName), false),
            ("another kind", endpoint("mysql", "db.example.com", 5432, VerifiedChain), false),
            ("within the family", pg("a.eu.example.com", 5432, VerifiedName), true),
            ("the family's own name", pg("eu.example.com", 5432, VerifiedName), false),
            ("two labels deeper", pg("b.a.eu.example.com", 5432, VerifiedName), false),
            ("the family as a suffix", pg("aeu.example.com", 5432, VerifiedName), false),
            ("the family's pattern as a host", pg("*.eu.example.com", 5432, VerifiedName), false),
            ("IPv6", pg("2001:db8::1", 5433, Clear), true),
            ("IPv6 in another spelling", pg("[2001:0DB8:0::1]", 5433, Clear), true),
            ("another IPv6", pg("2001:db8::2", 5433, Clear), false),
            ("one binding's host, another's port", pg("db.example.com", 5433, VerifiedName), false),
        ];
        for (name, endpoint, admitted) in table {
            for mode in [Mode::FirstUse, Mode::Strict] {
                let ruling = bindings.rule(mode, &reference, &endpoint, NOW);
                assert_eq!(ruling == Ok(Ruling::Bound), admitted, "{name}: {ruling:?}");
            }
        }
    }

    #[test]
    fn the_first_use_pins_and_strict_mode_does_not() {
        let (mut bindings, reference) = bound(&[]);
        let wanted = endpoint("postgresql", "Db.Example.com.", 5432, TlsFloor::VerifiedName);
        let failure = bindings.rule(Mode::Strict, &reference, &wanted, NOW).unwrap_err();
        assert_eq!((failure.code, failure.retry), (Code::BINDING_REFUSED, Retry::NeedsHuman));
        let Ok(Ruling::Pin(pin)) = bindings.rule(Mode::FirstUse, &reference, &wanted, NOW) else {
            panic!("not pinned")
        };
        assert_eq!((pin.host.as_str(), pin.origin, pin.since), ("db.example.com", Origin::Pinned, NOW));
        bindings.add(reference.document(), pin);
        assert_eq!(bindings.rule(Mode::FirstUse, &reference, &wanted, NOW), Ok(Ruling::Bound));
        assert_eq!(bindings.rule(Mode::Strict, &reference, &wanted, NOW), Ok(Ruling::Bound));
        let moved = endpoint("postgresql", "other.example.com", 5432, TlsFloor::VerifiedName);
        assert!(bindings.rule(Mode::FirstUse, &reference, &moved, NOW).is_err());
        let member = Reference::parse("file://pg/admin#prod").unwrap();
        assert!(
            bindings.rule(Mode::FirstUse, &member, &moved, NOW).is_err(),
            "another field of the document"
        );
    }

    #[test]
    fn a_pin_on_trial_is_taken_back_only_while_nobody_relied_on_it() {
        type Step = fn(&mut Bindings, &Document, &Endpoint, &Binding);
        let table: [(&str, Step, bool); 7] = [
            ("nobody came", |_, _, _, _| {}, true),
            ("another one relied", |all, document, to, _| all.rely(document, to), false),
            (
                "somebody sent it elsewhere",
                |all, document, to, _| {
                    all.rely(document, &Endpoint { port: 1, ..to.clone() });
                },
                true,
            ),
            ("it was sent", |all, document, _, pin| all.settle(document, pin.trial.as_ref().unwrap()), false),
            ("another trial was settled", |all, document, _, _| all.settle(document, &Trial::new("2")), true),
            (
                "a person approved it",
                |all, document, _, pin| {
                    all.add(
                        document.clone(),
                        Binding { origin: Origin::Approved, trial: None, ..pin.clone() },
                    );
                },
                false,
            ),
            (
                "it was removed, and another one tries",
                |all, document, _, pin| {
                    all.remove(document);
                    all.add(document.clone(), Binding { trial: Some(Trial::new("2")), ..pin.clone() });
                },
                false,
            ),
        ];
        for (name, step, taken) in table {
            let (mut bindings, reference) = bound(&[]);
            let (document, to) = (reference.document(), endpoint("postgresql", "db", 5432, TlsFloor::None));
            let trial = Trial::new("1");
            let pin = Binding {
                origin: Origin::Pinned,
                trial: Some(trial.clone()),
                ..binding("db", 5432, TlsFloor::None)
            };
            bindings.add(document.clone(), pin.clone());
            let rule = |bindings: &Bindings| bindings.rule(Mode::FirstUse, &reference, &to, NOW);
            assert_eq!(rule(&bindings), Ok(Ruling::Tried), "{name}");
            step(&mut bindings, &document, &to, &pin);
            assert_eq!(bindings.retract(&document, &trial), taken, "{name}");
            assert_eq!(bindings.of(&document).is_empty(), taken, "{name}: {bindings:?}");
            assert_eq!(matches!(rule(&bindings), Ok(Ruling::Pin(_))), taken, "{name}");
        }
    }

    #[test]
    fn a_refusal_tells_what_differs_and_the_command_that_approves_it() {
        let (mut bindings, reference) = bound(&[binding("db.example.com", 5432, TlsFloor::VerifiedName)]);
        let moved = endpoint("postgresql", "db2.example.com", 5432, TlsFloor::Encrypted);
        let failure = bindings.rule(Mode::FirstUse, &reference, &moved, NOW).unwrap_err();
        assert_eq!(
            failure.detail,
            "file://pg/admin is bound, and this would send it to host \"db2.example.com\" instead of \
             \"db.example.com\", TLS floor encrypted instead of at least verified_name: if that is meant, \
             run tidegate bindings approve file://pg/admin --kind postgresql --host db2.example.com \
             --port 5432 --tls encrypted"
        );
        bindings.add(reference.document(), binding("db2.example.com", 5432, TlsFloor::Encrypted));
        assert_eq!(bindings.rule(Mode::Strict, &reference, &moved, NOW), Ok(Ruling::Bound));
        assert_eq!(bindings.of(&reference.document()).len(), 2, "the old one stands");
    }

    #[test]
    fn other_authorities_are_refused_until_they_are_approved() {
        let (own, others) = (Authorities::of_digest([1; 32]), Authorities::of_digest([2; 32]));
        let (mut bindings, reference) = bound(&[]);
        let rule = |bindings: &Bindings, authorities| {
            bindings.rule(Mode::FirstUse, &reference, &led_to(authorities), NOW)
        };
        let Ok(Ruling::Pin(pin)) = rule(&bindings, Some(own.clone())) else { panic!("not pinned") };
        assert_eq!(pin.authorities.as_ref(), Some(&own));
        bindings.add(reference.document(), pin.clone());
        assert_eq!(rule(&bindings, Some(own.clone())), Ok(Ruling::Bound));
        for given in [others.clone(), Authorities::System] {
            let failure = rule(&bindings, Some(given.clone())).unwrap_err();
            let differs = format!("authorities {given} instead of {own}");
            let way_out = format!("--tls verified_name --authorities {given}");
            assert_eq!(failure.code, Code::BINDING_REFUSED);
            assert!(failure.detail.contains(&differs) && failure.detail.ends_with(&way_out), "{failure}");
        }
        let approved = Binding { authorities: Some(others.clone()), origin: Origin::Approved, ..pin };
        bindings.add(reference.document(), approved);
        for given in [own, others] {
            assert_eq!(rule(&bindings, Some(given)), Ok(Ruling::Bound), "the old ones stand beside");
        }
        assert!(rule(&bindings, Some(Authorities::System)).is_err());
    }

    #[test]
    fn a_pin_of_before_takes_on_the_authorities_at_its_next_use() {
        let own = Authorities::of_digest([1; 32]);
        let before =
            Binding { origin: Origin::Pinned, ..binding("db.example.com", 5432, TlsFloor::VerifiedName) };
        let (mut bindings, reference) = bound(std::slice::from_ref(&before));
        let wanted = led_to(Some(own.clone()));
        let Ok(Ruling::Pin(pin)) = bindings.rule(Mode::Strict, &reference, &wanted, NOW) else {
            panic!("it stays without")
        };
        assert_eq!(pin, Binding { authorities: Some(own), ..before.clone() });
        let tried = Binding { trial: Some(Trial::new("1")), ..before.clone() };
        let (on_trial, _) = bound(&[tried]);
        assert_eq!(on_trial.rule(Mode::Strict, &reference, &wanted, NOW), Ok(Ruling::Pin(pin.clone())));
        bindings.add(reference.document(), pin.clone());
        assert_eq!(bindings.of(&reference.document()), [pin]);
        let other = led_to(Some(Authorities::System));
        assert!(bindings.rule(Mode::FirstUse, &reference, &other, NOW).is_err());
        // What a person approved for whichever authorities stays so.
        let (bindings, _) = bound(&[Binding { origin: Origin::Approved, ..before }]);
        assert_eq!(bindings.rule(Mode::FirstUse, &reference, &other, NOW), Ok(Ruling::Bound));
    }

    #[test]
    fn a_hostile_endpoint_cannot_put_words_into_the_operators_shell() {
        let reference = Reference::parse("file://pg/it's").unwrap();
        let hostile = endpoint("x; reboot", "$(reboot)\n-v", 1, TlsFloor::None);
        assert_eq!(
            approval(&reference, &hostile),
            r"tidegate bindings approve 'file://pg/it'\''s' --kind 'x; reboot' --host '$(reboot)-v' --port 1 --tls none"
        );
        let failure = Bindings::default().rule(Mode::FirstUse, &reference, &hostile, NOW).unwrap_err();
        assert_eq!(failure.code, Code::CONFIG_REFUSED);
    }

    #[test]
    fn bindings_round_trip_through_json_and_a_weaker_one_replaces() {
        let (mut bindings, reference) = bound(&[
            binding("db.example.com", 5432, TlsFloor::VerifiedName),
            binding("*.example.com", 1, TlsFloor::None),
        ]);
        bindings.add(reference.document(), binding("db.example.com", 5432, TlsFloor::None));
        assert_eq!(bindings.of(&reference.document()).len(), 2);
        let text = serde_json::to_string(&bindings).unwrap();
        assert_eq!(serde_json::from_str::<Bindings>(&text).unwrap(), bindings);
        assert_eq!(bindings.remove(&reference.document()).len(), 2);
        assert_eq!(bindings.iter().count(), 0);
    }
}
