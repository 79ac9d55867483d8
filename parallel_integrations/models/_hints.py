"""What an unknown argument is called here: names of other packages and older APIs, and typos."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

MIN_LIKENESS: Final = 0.7
"""Of a name that may be a typo; below it, other words of the frameworks look alike."""

_OTHER_NAMES: Final[dict[str, str]] = {
    "api_key": "parallel_api_key openai_api_key tavily_api_key exa_api_key api_token token key",
    "base_url": "api_base openai_api_base endpoint api_url host",
    "timeout": "request_timeout timeout_seconds timeout_s",
    "max_retries": "retries num_retries max_tries",
    "client": "parallel_client sync_client",
    "http_async_client": "async_client async_http_client",
    "headers": "default_headers custom_headers extra_headers",
    "extra_body": "additional_kwargs model_kwargs",
    "system_prompt": "system instructions",
    "context_window": "context_length max_model_len num_ctx",
    "route": "gateway",
    "k": "top_k similarity_top_k num_results n_results max_results limit count",
    "max_results": "k top_k similarity_top_k num_results n_results limit count match_limit",
    "match_limit": "k top_k limit max_results num_results result_limit",
    "objective": "query question q prompt search_objective",
    "input": "query question objective prompt",
    "search_queries": "queries keywords search_query",
    "urls": "url links web_paths web_path",
    "mode": "search_depth search_type processor",
    "model": "llm engine model_id processor",
    "processor": "model model_name llm",
    "query_writer": "llm",
    "output_schema": "schema response_format output_cls response_model json_schema",
    "output_cls": "output_schema schema response_model",
    "max_chars_per_result": "max_characters max_chars text_length_limit",
    "max_chars_total": "max_tokens_num max_total_chars",
    "location": "country user_location gl",
    "full_content": "include_raw_content raw_content include_text",
    "max_tokens": "max_completion_tokens max_output_tokens",
    "deadline_seconds": "deadline max_wait poll_timeout",
    "entity_type": "entity type",
    "metadata": "tags labels",
    "webhook": "webhook_url callback_url",
}
"""The name here, and what others call it."""

_CLIENTS: Final = frozenset(
    """
    route gateway cache cache_ttl_seconds headers default_headers http_client http_async_client
    async_client async_http_client api_version chat_path retry_timeouts max_response_bytes
    plain_http_hosts
    """.split()
)
"""What a client is given, not each adapter."""

_POLICY: Final[dict[str, str]] = {
    "include_domains": "include_domains=['example.com']",
    "exclude_domains": "exclude_domains=['example.com']",
    **dict.fromkeys(
        """
        after_date start_date from_date since start_published_date published_after days time_range
        """.split(),
        "after_date='YYYY-MM-DD'",
    ),
}

_ELSEWHERE: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("end_date", "before_date", "to_date", "end_published_date", "published_before"),
        "the API knows no end date: name the period in the objective, or filter by published_at",
    ),
    **dict.fromkeys(("topic", "category"), "the API knows no topics: say it in the objective"),
    **dict.fromkeys(
        ("tools", "functions"), "Parallel's chat models call no tools: let another model call them"
    ),
    "llm": "a model that words the queries is query_writer= of a retriever",
    **dict.fromkeys(
        (
            "retriever similarity_top_k node_postprocessors response_synthesizer response_mode"
        ).split(),
        "it belongs to LlamaIndex's RetrieverQueryEngine.from_args(ParallelRetriever(…), …)",
    ),
    **dict.fromkeys(
        ("embed_model", "embedding", "embeddings"), "there are no embeddings: the API ranks"
    ),
    **dict.fromkeys(("format", "formats", "html_to_text", "output_format"), "pages are Markdown"),
    **dict.fromkeys(
        """
        presence_penalty frequency_penalty logit_bias logprobs top_logprobs service_tier store
        parallel_tool_calls tool_choice user
        """.split(),
        "the API ignores it: leave it out",
    ),
    **dict.fromkeys(("system", "system_prompt"), "it is a system message among the messages"),
    **dict.fromkeys(
        ("include_raw_content", "raw_content"), "an extract with full_content=True reads pages"
    ),
    **dict.fromkeys(
        ("include_images", "include_image_descriptions", "include_favicon"), "pages are text"
    ),
    **dict.fromkeys(
        ("continue_on_failure", "raise_for_status"), "pages that fail are given to on_error="
    ),
    "response_format": "with_structured_output(schema), or bind(response_format=…), sets it",
    "previous_interaction_id": "it belongs to one call, not to all",
    "excerpts": "they always come: max_chars_per_result= and max_chars_total= bound them",
    "include_metadata": "what is known of the pages always comes",
    "poll_interval": "the client decides when to look: deadline_seconds= bounds the wait",
    **dict.fromkeys(
        ("stream_usage", "stream_options"),
        "tokens come by themselves, of the models for which the API counts them",
    ),
    "task_spec": "give its parts, output_schema= and input_schema=",
    "use_responses_api": "the model of Responses is model='parallel'",
    "urls": "they are given to the call, such as load_data(urls)",
    "secret": "an account has one secret, which stands in its webhook settings",
    "include_answer": "a search gives pages: ChatParallel and ParallelQueryEngine reply in words",
    "rate_limiter": "client.paced(rate_limiter) is a client whose calls wait for it",
    **dict.fromkeys(
        ("proxy", "proxies", "verify"),
        "the client takes an HTTP client of your own: ParallelClient(http_client=httpx.Client(…))",
    ),
}


def hint(name: str, known: Collection[str]) -> str:
    """What to write instead of an unknown argument; empty where there is nothing to say.

    Args:
        name: The argument that was given.
        known: The arguments there are.
    """
    others = [here for here, there in _OTHER_NAMES.items() if here in known]
    for here in others:
        if name in _OTHER_NAMES[here].split():
            return f"it is called {here}= here"
    if name in _CLIENTS and "client" in known:
        names = (here for here in _CLIENTS if name in _OTHER_NAMES.get(here, "").split())
        here = next(names, name)
        return f"it belongs to the client: client=ParallelClient({here}=…)"
    if name in _POLICY and "source_policy" in known:
        return f"write source_policy=SourcePolicy({_POLICY[name]})"
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    near = get_close_matches(name, known, 1, MIN_LIKENESS)
    return f"did you mean {near[0]!r}?" if near else ""
