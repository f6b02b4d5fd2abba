//! Taking what the link and operators bring.

use journal::JournalFault;
use model::IntegrationId;
use rules::{Input, NumberedOrder, Order};

use super::published::Message;
use super::reads::Reading;
use super::{Engine, EngineFault};

impl Engine {
    /// Takes a message of the others.
    ///
    /// # Errors
    /// When the journal can no longer be read.
    pub(super) async fn take(&mut self, message: Message) -> Result<(), EngineFault> {
        let reading = self.parts.clock.read();
        match message {
            Message::Order(order) => self.take_order(order, reading).await,
            Message::Unreadable { ordered, detail } => {
                self.book.refuse_order(ordered, model::Code::ORDER_MALFORMED, detail, reading);
            }
            Message::Standing(standing) => self.book.handle(Input::Standing(standing), reading),
            Message::Committed { through } => {
                self.committed = self.committed.max(through.min(self.book.last_report()));
                self.book.handle(Input::ReportsCommitted { through }, reading);
            }
            Message::Heard { source, said } => self.book.handle(Input::Heard { source, said }, reading),
            Message::JournalIsCurrent { by } => self.book.handle(Input::JournalIsCurrent { by }, reading),
            Message::JournalIsOld(done) => {
                match self.begin_anew().await {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    // The link asks again at its next greeting; until then nothing opens.
                    Err(EngineFault::Journal(
                        fault @ (JournalFault::NotWritten { .. }
                        | JournalFault::Full { .. }
                        | JournalFault::Lost { .. }),
                    )) => {
                        tracing::error!(%fault, "The journal could not be given a new life");
                        (self.journal_works, self.unread) = (false, true);
                        return Ok(());
                    }
                    Err(fault) => return Err(fault),
                }
                if done.send(()).is_err() {
                    tracing::debug!("Whoever asked for the new life is gone; it is published all the same");
                }
            }
            Message::DiscoverAgain(integration) => {
                self.due.insert((integration, Reading::Discover), self.book.now());
            }
            Message::CloseOnly(reason) => self.book.handle(Input::CloseOnly(Some(reason)), reading),
            Message::Guard(guard) => {
                self.parts.guard = guard.clone();
                self.book.guard(guard, reading);
                self.look_again_everywhere();
            }
            Message::LookAgain => self.look_again_everywhere(),
            Message::Asked(asked) => self.asked(asked, reading),
        }
        Ok(())
    }

    async fn take_order(&mut self, order: NumberedOrder, reading: rules::Reading) {
        if let Some((integration, what)) = reading_of(&order.order) {
            if what == Reading::Check {
                // A person asks: a login that was refused may be tried once more.
                self.parts.targets.shop.secrets.try_again(&integration).await;
            }
            self.due.insert((integration, what), self.book.now());
        }
        self.book.handle(Input::Order(order), reading);
    }
}

/// What an order asks to be read: the rules have nothing to remember of it.
fn reading_of(order: &Order) -> Option<(IntegrationId, Reading)> {
    match order {
        Order::CheckNow { integration } => Some((integration.clone(), Reading::Check)),
        Order::DiscoverNow { integration } => Some((integration.clone(), Reading::Discover)),
        Order::SurveyNow { integration } => Some((integration.clone(), Reading::Survey)),
        Order::PutIntegration(_)
        | Order::RetireIntegration { .. }
        | Order::PutAccess(_)
        | Order::EndAccess { .. }
        | Order::RotateAccount { .. }
        | Order::DeleteAccount { .. }
        | Order::CancelEnding { .. }
        | Order::Pause { .. }
        | Order::Resume { .. }
        | Order::SetPolicy { .. } => None,
    }
}
