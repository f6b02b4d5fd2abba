//! The link of a made-up agent: dialling, orders, reports, standings and surveys.

use model::Position;
use rules::{Input, Source};

use crate::agent::Agent;
use crate::chaos::Happening;
use crate::fault::Fault;
use crate::world::{Event, TARGETS, Told, World, incarnation};

impl World {
    pub(crate) fn connect(&mut self) -> Told {
        if !self.link || self.agent.is_none() {
            return Ok(());
        }
        let said = self.true_time();
        self.input(Input::Heard { source: Source::ControlPlane, said })?;
        self.find_out_whether_old()?;
        loop {
            let Some(agent) = self.agent.as_ref() else { return Ok(()) };
            let cursor = agent.book.cursor(self.plane.incarnation);
            let Some(order) = self.plane.after(cursor) else { break };
            if self.rng.chance(50) && cursor.0 > 0 {
                let again = self.plane.after(Position(cursor.0 - 1));
                if let Some(again) = again {
                    self.input(Input::Order(again))?;
                }
            }
            let before = cursor;
            self.input(Input::Order(order))?;
            let Some(agent) = self.agent.as_ref() else { return Ok(()) };
            if agent.book.cursor(self.plane.incarnation) == before {
                // Not written: the control plane sends it again after the next dial.
                self.at(self.now + 20_000, Event::Happens(Happening::LinkUp));
                return Ok(());
            }
        }
        if self.rng.chance(300) {
            return self.stand();
        }
        Ok(())
    }

    /// A control plane that has committed more reports than the journal ever made knows a later journal.
    pub(crate) fn find_out_whether_old(&mut self) -> Told {
        let Some(agent) = self.agent.as_ref() else { return Ok(()) };
        let by = self.plane.incarnation;
        if agent.renewed {
            return self.input(Input::JournalIsCurrent { by });
        }
        let (own, _) = self.journal.place_now().map_err(|fault| fault.to_string())?;
        let committed = self.plane.committed.get(&own).copied().unwrap_or_default();
        let unknown_here = !self.plane.committed.is_empty() && !self.plane.committed.contains_key(&own);
        let old =
            committed > agent.book.last_report() || (unknown_here && agent.book.accounts().next().is_none());
        if old { self.renew_journal() } else { self.input(Input::JournalIsCurrent { by }) }
    }

    pub(crate) fn renew_journal(&mut self) -> Told {
        self.tell(|| "the journal is an old copy".into());
        self.input(Input::JournalIsOld)?;
        let fresh = incarnation(&mut self.rng);
        let written = self.agent.as_ref().is_some_and(|agent| agent.book.meta().reconciling);
        if written && self.journal.begin_incarnation_now(fresh).is_ok() {
            let life_before = self.life;
            self.agent = None;
            self.start_renewed()?;
            debug_assert!(self.life > life_before);
            self.at(self.now + 1_000, Event::Surveys);
        }
        Ok(())
    }

    pub(crate) fn start_renewed(&mut self) -> Told {
        let link = std::mem::replace(&mut self.link, false);
        self.start_agent()?;
        self.link = link;
        if let Some(agent) = self.agent.as_mut() {
            agent.renewed = true;
        }
        self.connect()
    }

    pub(crate) fn sync_reports(&mut self) -> Told {
        if !self.link || self.agent.is_none() {
            return Ok(());
        }
        let (own, _) = self.journal.place_now().map_err(|fault| fault.to_string())?;
        let after = self.plane.committed.get(&own).copied().unwrap_or_default();
        let reports = self.journal.reports_now(after, 1000).map_err(|fault| fault.to_string())?;
        let Some(last) = reports.last().map(|report| report.position) else { return Ok(()) };
        for stored in &reports {
            let report: rules::Report =
                serde_json::from_str(&stored.body).map_err(|fault| fault.to_string())?;
            self.plane.hear(&report);
            self.chains.hear(&report)?;
        }
        self.plane.committed.insert(own, last);
        // The acknowledgement is lost now and then: the next one counts for it.
        if self.rng.chance(100) {
            return Ok(());
        }
        self.input(Input::ReportsCommitted { through: last })
    }

    pub(crate) fn stand(&mut self) -> Told {
        if !self.link || self.agent.is_none() {
            return Ok(());
        }
        let mut standing = self.plane.now_standing();
        standing.confirmed = self.fault == Some(Fault::BelievesRestored);
        self.tell(|| {
            format!("stands: {:?}", standing.accesses.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
        });
        self.input(Input::Standing(standing))
    }

    pub(crate) fn survey(&mut self) -> Told {
        if self.fault == Some(Fault::NoSurvey) {
            return Ok(());
        }
        for index in 0..TARGETS {
            if !self.targets[index].up {
                continue;
            }
            let identity = self.targets[index].identity.clone();
            let mut sightings = self.targets[index].survey();
            if self.fault == Some(Fault::HalfSurvey) {
                sightings.truncate(sightings.len() / 2);
            }
            // A connection tells the target's time, and heartbeats tell the control plane's.
            let said = self.true_time();
            self.input(Input::Heard { source: Source::Target, said })?;
            if self.link {
                self.input(Input::Heard { source: Source::ControlPlane, said })?;
            }
            if self.rng.chance(300)
                && let Some(life) = self.agent.as_ref().map(|agent| agent.life)
            {
                // A great catalogue takes its time; what was seen first is old when it comes.
                let at = self.now + self.rng.between(1, 20_000);
                self.at(at, Event::Sighted { life, target: index, identity, sightings });
            } else {
                self.sighted(index, identity, sightings)?;
            }
        }
        let Some(agent) = self.agent.as_ref() else { return Ok(()) };
        if agent.book.meta().reconciling {
            if !agent.renewed {
                return self.renew_journal();
            }
            self.stand()?;
            if self.now < self.end_of_surveys() {
                self.at(self.now + 60_000, Event::Surveys);
            }
        }
        Ok(())
    }

    pub(crate) fn sighted(
        &mut self,
        target: usize,
        identity: model::TargetIdentity,
        sightings: Vec<model::Sighting>,
    ) -> Told {
        let integration = self.integrations[target].clone();
        self.input(Input::Identified { integration: integration.clone(), identity })?;
        self.input(Input::Surveyed { integration, sightings, complete: true })?;
        self.clear(target)
    }

    /// What is ours and shared goes once an integration is done with, if its target can be reached.
    pub(crate) fn clear(&mut self, target: usize) -> Told {
        let integration = self.integrations[target].clone();
        let parting = |agent: &Agent| {
            // What cannot be written down is done again once it can.
            agent.book.standstill().is_none_or(|still| still.code != model::Code::CLOSE_ONLY)
                && agent.book.integration(&integration).is_some_and(|found| found.retired && !found.cleared)
        };
        if !self.targets[target].up || !self.agent.as_ref().is_some_and(parting) {
            return Ok(());
        }
        self.input(Input::Cleared { integration, removed: vec!["role made-up".into()], left: vec![] })
    }
}
