"""The public names, each imported from its module when it is first used."""

from parallel_integrations.api.webhooks import parse_webhook as parse_webhook
from parallel_integrations.api.webhooks import verify_webhook as verify_webhook
from parallel_integrations.api.webhooks import webhook_id as webhook_id
from parallel_integrations.langchain.chat_models import ChatParallel as ChatParallel
from parallel_integrations.langchain.chat_models import ChatParallelWeb as ChatParallelWeb
from parallel_integrations.langchain.citations import resolve_citations as resolve_citations
from parallel_integrations.langchain.decisions import ParallelDecisions as ParallelDecisions
from parallel_integrations.langchain.document_loaders import (
    ParallelExtractLoader as ParallelExtractLoader,
)
from parallel_integrations.langchain.middleware import (
    ParallelBudgetMiddleware as ParallelBudgetMiddleware,
)
from parallel_integrations.langchain.monitors import ParallelMonitor as ParallelMonitor
from parallel_integrations.langchain.retrievers import (
    ParallelEntityRetriever as ParallelEntityRetriever,
)
from parallel_integrations.langchain.retrievers import (
    ParallelSearchRetriever as ParallelSearchRetriever,
)
from parallel_integrations.langchain.runnables import ParallelDeepResearch as ParallelDeepResearch
from parallel_integrations.langchain.runnables import ParallelEnrichment as ParallelEnrichment
from parallel_integrations.langchain.toolkits import ParallelToolkit as ParallelToolkit
from parallel_integrations.langchain.tools import (
    ParallelEntitySearchTool as ParallelEntitySearchTool,
)
from parallel_integrations.langchain.tools import ParallelExtractTool as ParallelExtractTool
from parallel_integrations.langchain.tools import ParallelFindAllTool as ParallelFindAllTool
from parallel_integrations.langchain.tools import ParallelGetResearchTool as ParallelGetResearchTool
from parallel_integrations.langchain.tools import ParallelMemoryTool as ParallelMemoryTool
from parallel_integrations.langchain.tools import ParallelSearchTool as ParallelSearchTool
from parallel_integrations.langchain.tools import (
    ParallelStartResearchTool as ParallelStartResearchTool,
)
from parallel_integrations.langchain.tools import ParallelTaskRunTool as ParallelTaskRunTool
from parallel_integrations.langchain.tools import ParallelWebSearchTool as ParallelWebSearchTool
