"""The public names, each imported from its module when it is first used."""

from parallel_integrations.sandbox.server.faults import Fault as Fault
from parallel_integrations.sandbox.server.faults import Faults as Faults
from parallel_integrations.sandbox.server.recorder import RecordedRequest as RecordedRequest
from parallel_integrations.sandbox.server.sandbox import Sandbox as Sandbox
from parallel_integrations.sandbox.state.ledger import Entry as Entry
from parallel_integrations.sandbox.state.ledger import Ledger as Ledger
from parallel_integrations.sandbox.web.corpus import Corpus as Corpus
from parallel_integrations.sandbox.web.corpus import Page as Page
