//! A made-up control plane: who should have what, told as numbered orders, and what it was told back.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccessId, AccessState, Incarnation, Position, Revision};
use rules::{AccessOrder, NumberedOrder, Order, Report, Standing};

#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) incarnation: Incarnation,
    pub(crate) log: Vec<Order>,
    /// Accesses that should live, by its own word.
    pub(crate) standing: BTreeMap<AccessId, Revision>,
    pub(crate) orders: BTreeMap<AccessId, AccessOrder>,
    /// What was reported last of each access.
    pub(crate) told: BTreeMap<AccessId, AccessState>,
    /// Reports committed, by the journal's incarnation.
    pub(crate) committed: BTreeMap<Incarnation, Position>,
    pub(crate) withdrawn: BTreeSet<AccessId>,
}

impl Plane {
    pub(crate) const fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            log: vec![],
            standing: BTreeMap::new(),
            orders: BTreeMap::new(),
            told: BTreeMap::new(),
            committed: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    pub(crate) fn order(&mut self, order: Order) {
        match &order {
            Order::PutAccess(access) => {
                self.standing.insert(access.id.clone(), access.revision);
                self.orders.insert(access.id.clone(), access.clone());
            }
            Order::EndAccess { access } => {
                self.standing.remove(access);
                self.withdrawn.insert(access.clone());
            }
            _ => {}
        }
        self.log.push(order);
    }

    /// Returns the order after a position.
    pub(crate) fn after(&self, position: Position) -> Option<NumberedOrder> {
        let index = usize::try_from(position.0).ok()?;
        let order = self.log.get(index)?.clone();
        Some(NumberedOrder { incarnation: self.incarnation, position: position.next(), order })
    }

    pub(crate) fn hear(&mut self, report: &Report) {
        if let Report::AccessChanged { access, state, .. } = report {
            if state.is_terminal() || matches!(state, AccessState::Ending { .. }) {
                self.standing.remove(access);
            }
            self.told.insert(access.clone(), state.clone());
        }
        if let Report::OrderRefused { incarnation, position, access: Some(access), .. } = report {
            let index = usize::try_from(position.0).unwrap_or(0).wrapping_sub(1);
            let opening = matches!(self.log.get(index), Some(Order::PutAccess(_)));
            if *incarnation == self.incarnation && opening {
                self.standing.remove(access);
            }
        }
    }

    pub(crate) fn now_standing(&self) -> Standing {
        Standing {
            incarnation: self.incarnation,
            position: Position(self.log.len() as u64),
            accesses: self.standing.iter().map(|(id, revision)| (id.clone(), *revision)).collect(),
            confirmed: false,
        }
    }

    /// A backup is brought back: a new incarnation whose log begins again with what the backup knew.
    pub(crate) fn restored(backup: &Self, incarnation: Incarnation) -> Self {
        let mut plane = Self { incarnation, log: vec![], committed: BTreeMap::new(), ..backup.clone() };
        for order in &backup.log {
            let keeps = match order {
                Order::PutAccess(access) => backup.standing.contains_key(&access.id),
                _ => true,
            };
            if keeps {
                plane.log.push(order.clone());
            }
        }
        plane
    }
}
