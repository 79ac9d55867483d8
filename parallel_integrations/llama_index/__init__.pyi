"""The public names, each imported from its module when it is first used."""

from parallel_integrations.api.webhooks import parse_webhook as parse_webhook
from parallel_integrations.api.webhooks import verify_webhook as verify_webhook
from parallel_integrations.api.webhooks import webhook_id as webhook_id
from parallel_integrations.llama_index.citations import citation_blocks as citation_blocks
from parallel_integrations.llama_index.citations import evidence_of as evidence_of
from parallel_integrations.llama_index.evaluators import (
    ParallelFactEvaluator as ParallelFactEvaluator,
)
from parallel_integrations.llama_index.events import ParallelSearchEvent as ParallelSearchEvent
from parallel_integrations.llama_index.extractors import ParallelExtractor as ParallelExtractor
from parallel_integrations.llama_index.llms import ParallelLLM as ParallelLLM
from parallel_integrations.llama_index.monitors import ParallelMonitor as ParallelMonitor
from parallel_integrations.llama_index.query_engines import (
    ParallelQueryEngine as ParallelQueryEngine,
)
from parallel_integrations.llama_index.readers import ParallelExtractReader as ParallelExtractReader
from parallel_integrations.llama_index.readers import ParallelReader as ParallelReader
from parallel_integrations.llama_index.resolved_citations import (
    resolve_citations as resolve_citations,
)
from parallel_integrations.llama_index.retrievers import (
    ParallelEntityRetriever as ParallelEntityRetriever,
)
from parallel_integrations.llama_index.retrievers import ParallelRetriever as ParallelRetriever
from parallel_integrations.llama_index.selectors import ParallelSelector as ParallelSelector
from parallel_integrations.llama_index.tools import ParallelProgressEvent as ParallelProgressEvent
from parallel_integrations.llama_index.tools import ParallelToolSpec as ParallelToolSpec
