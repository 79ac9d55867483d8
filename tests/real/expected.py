"""What a person who reads the files would say that is in them, written by hand."""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations import errors
from parallel_integrations.models import (
    CreateTaskRunRequest,
    FindallRun,
    TaskRun,
)

Page = tuple[str, str, str | None]
"""Url, title and date."""


@dataclass(frozen=True)
class Search:
    """A response of search.

    Attributes:
        pages: How many.
        dated: How many of them have a date.
        characters: Of all excerpts.
        first: The best page.
        last: The last one.
        usage: Counts by SKU.
    """

    pages: int
    dated: int
    characters: int
    first: Page
    last: Page
    usage: dict[str, int] = field(default_factory=lambda: {"sku_search": 1})
    version: Any = "v1"


@dataclass(frozen=True)
class Extract:
    """A response of extract.

    Attributes:
        pages: Url, title, date, characters of the excerpts and of the full content (0: none).
        failed: Url and type of each error.
        warnings: How each begins.
    """

    pages: tuple[tuple[str, str, str | None, int, int], ...]
    usage: dict[str, int]
    failed: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    version: Any = "v1"


@dataclass(frozen=True)
class Task:
    """A task's result.

    Attributes:
        content: How it begins: its text, or the JSON value's first key.
        fields: Fields of the basis.
        citations: In all.
        passages: Excerpts, and citations without any; None: as many as citations.
        confidences: Fields by confidence; None: no field has any.
        first: Field, url, title (None: none is given) and how the first excerpt begins.
        tools: Calls to tool servers.
        unknown: Fields that no model knows.
    """

    run_id: str
    processor: str
    content: str
    first: tuple[str, str, str | None, str] | None
    fields: int = 1
    citations: int = 1
    passages: int | None = None
    confidences: dict[str, int] | None = None
    tools: tuple[str, ...] = ()
    warnings: int = 0
    unknown: frozenset[str] = frozenset()

    @property
    def num_passages(self) -> int:
        return self.citations if self.passages is None else self.passages

    @property
    def by_confidence(self) -> dict[str, int]:
        return {"": self.fields} if self.confidences is None else self.confidences


@dataclass(frozen=True)
class Failure:
    """An error's body.

    Attributes:
        reasons: What stands in its detail.
    """

    status: int
    error: type[errors.StatusError]
    message: str
    ref_id: str | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Events:
    """A stream of a task's events: type, and its message or status."""

    run_id: str
    events: tuple[tuple[str, str], ...]
    num_considered: int
    num_read: int


@dataclass(frozen=True)
class Monitor:
    """A page of a monitor's events: how many of each type, and the first."""

    types: dict[str, int]
    first: tuple[Any, Any, str]
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Findall:
    """A FindAll result, or an event with a candidate or a status."""

    matches: tuple[tuple[str, str, dict[str, str]], ...] = ()
    metrics: tuple[int, int] | None = None


@dataclass(frozen=True)
class Document:
    """A body whose every value the model has: an object of a run, a request."""

    model: type[BaseModel]
    values: dict[str, Any]


SKU: Final = "sku_search"
MORE: Final = "sku_extract_excerpts"
FULL: Final = "sku_extract_full"
NEITHER: Final = "Neither objective nor search_queries were provided"
SNOWFLAKE: Final = "https://docs.snowflake.com/en/"
WELL_ARCHITECTED: Final = (
    "https://www.snowflake.com/en/developers/guides/"
    "well-architected-framework-cost-optimization-and-finops/"
)
COFFEE: Final = (
    "https://www.mmcginvest.com/post/u-s-coffee-shop-industry-market-analysis-navigating-"
    "maturity-margin-pressure-and-the-mandate-fo"
)
CRESCENDO: Final = "https://www.crescendo.ai/news/latest-ai-news-and-updates"

EXPECTED: Final[dict[str, Any]] = {
    # Samples: the same shapes, invented content.
    "search_v1beta.json": Search(
        pages=2,
        dated=1,
        characters=159,
        first=("https://bees.example/winter", "Keeping bees in winter | Bees", None),
        last=("https://bees.example/s/article/Bees?id=7", 'Bees: "what to feed"', "2025-08-27"),
        usage={SKU: 1, MORE: 2},
        version="v1beta",
    ),
    "search_v1.json": Search(
        pages=2,
        dated=1,
        characters=152,
        first=("https://bees.example/", "Bees", None),
        last=("https://hives.example/2025/11/19/hives", "Hives", "2025-11-19"),
    ),
    "extract_v1beta.json": Extract(
        pages=(
            ("https://bees.example/gone", "404 File Not Found - Bees", None, 27, 27),
            ("https://bees.example/winter", "Winter", "2026-01-01", 10, 43),
        ),
        usage={MORE: 2, FULL: 2},
        failed=(("https://bees.example/closed", "fetch_error"),),
        warnings=(NEITHER,),
        version="v1beta",
    ),
    "error_401.json": Failure(401, errors.AuthenticationError, "Invalid API key (C.1)", None),
    "error_402.json": Failure(
        402,
        errors.PaymentRequiredError,
        "Insufficient credit in account, please check your plan and billing details.",
        "00000000000000000000000000000402",
    ),
    "error_422.json": Failure(
        422,
        errors.InvalidRequestError,
        "Request validation error.",
        "00000000-0000-0000-0000-000000000422",
        ("urls", "Field required"),
    ),
    "task_text.json": Task(
        run_id="trun_00000000000000000000000000000001",
        processor="ultra",
        content="# Bees in winter",
        citations=3,
        passages=4,
        confidences={"high": 1},
        first=("content", "https://bees.example/winter", "Winter", "Feed them before"),
        unknown=frozenset({"output.beta_fields"}),
    ),
    "task_auto.json": Task(
        run_id="trun_00000000000000000000000000000002",
        processor="ultra",
        content="executive_summary",
        fields=3,
        citations=2,
        confidences={"": 1, "medium": 1, "low": 1},
        first=("feeding[0]", "https://bees.example/winter", "Winter", "A colony needs"),
    ),
    "task_mcp.json": Task(
        run_id="trun_00000000000000000000000000000003",
        processor="lite",
        content="output",
        first=("output", "https://bees.example/", None, ""),
        tools=("weigh",),
        warnings=1,
    ),
    "task_events.sse": Events(
        run_id="trun_00000000000000000000000000000004",
        events=(
            ("task_run.state", "running"),
            ("task_run.progress_msg.exec_status", "Starting research"),
            ("task_run.progress_msg.plan", "I'll look into what bees eat."),
            ("task_run.progress_msg.tool", "I've read two pages."),
            ("task_run.progress_stats", ""),
        ),
        num_considered=12,
        num_read=2,
    ),
    "monitor_alpha.json": Monitor(
        types={"event_stream": 1, "completion": 1, "error": 1},
        first=("2026-02-17/18", "mevtgrp_1", "A law on hives was passed."),
        urls=("https://bees.example/law",),
    ),
    "monitor_snapshot.json": Monitor(
        types={"snapshot": 1},
        first=("2026-07-14", "mevtgrp_2", "LOW"),
        urls=("https://bees.example/price",),
    ),
    "findall_result.json": Findall(
        matches=(("Hive Works", "https://hiveworks.example", {"after_2020": "2021"}),),
        metrics=(8, 5),
    ),
    "findall_event.json": Findall(
        matches=(("Hive Works", "https://hiveworks.example", {"after_2020": "2021"}),)
    ),
    "findall_event_status.json": Findall(metrics=(4, 0)),
    "findall_event_schema.json": Findall(),
    "findall_run.json": Document(FindallRun, {"findall_id": "findall_1", "generator": "core"}),
    "task_created.json": Document(TaskRun, {"status": "queued", "is_active": True}),
    "task_input.json": Document(CreateTaskRunRequest, {"processor": "ultra"}),
    # Printed by the service.
    "10_search_v1beta_small.json": Search(
        pages=4,
        dated=1,
        characters=10_071,
        first=(
            f"{SNOWFLAKE}user-guide/tasks-intro",
            "Introduction to tasks - Snowflake Documentation",
            None,
        ),
        last=(
            f"{SNOWFLAKE}user-guide/tasks-ts",
            "Troubleshooting tasks | Snowflake Documentation",
            None,
        ),
        version="v1beta",
    ),
    "11_search_v1beta_dates.json": Search(
        pages=8,
        dated=6,
        characters=16_315,
        first=(
            "https://www.flexera.com/blog/finops/snowflake-native-apps/",
            "Snowflake Native Apps 101: Build and monetize data apps (2026)",
            "2026-01-27",
        ),
        last=(
            (
                "https://medium.com/snowflake/"
                "snowflake-build-2025-summary-of-new-features-bfb5317fb7ab"
            ),
            (
                "Snowflake Build 2025: Summary of New Features | by Umesh Patel | Snowflake "
                "Builders Blog: Data Engineers, App Developers, AI, & Data Science | Medium"
            ),
            "2025-11-10",
        ),
        version="v1beta",
    ),
    "12_search_v1beta_two_skus.json": Search(
        pages=12,
        dated=8,
        characters=22_834,
        first=(WELL_ARCHITECTED, "Cost Optimization - Snowflake", None),
        last=(
            "https://www.snowflake.com/en/blog/platform-announcements-summit-2025/",
            "An Even Easier-to-Use and More Trusted Platform from Snowflake",
            "2025-06-04",
        ),
        usage={SKU: 1, MORE: 2},
        version="v1beta",
    ),
    "13_search_v1beta_long.json": Search(
        pages=15,
        dated=7,
        characters=89_812,
        first=(
            "https://www.unraveldata.com/insights/snowflake-costs/",
            "How Can I Reduce My Snowflake Costs? - Unravel Data",
            "2025-07-22",
        ),
        last=(
            (
                "https://articles.analytics.today/"
                "snowflake-cluster-keys-and-micro-partition-elimination-best-practices"
            ),
            "Snowflake Cluster Keys: How to Improve Query Performance with Partitio",
            None,
        ),
        usage={SKU: 1, MORE: 5},
        version="v1beta",
    ),
    "14_search_v1_docs.json": Search(
        pages=10,
        dated=1,
        characters=3_075,
        first=(
            (
                "https://www.linkedin.com/posts/analytics-india-magazine_former-twitter-ceo-parag-"
                "agrawals-new-startup-activity-7394607179896426497-xdcJ"
            ),
            "Parallel Web Systems raises $100M for AI web access - LinkedIn",
            None,
        ),
        last=(
            "https://aimagazine.com/magazines/parag-agrawals-parallel-web-systems-raises-100m-for-ai",
            "How Parag Agrawal's Parallel Web Systems Raised $100m for AI | AI Magazine",
            "2025-11-19",
        ),
    ),
    "15_search_mcp_structured.json": Search(
        pages=2,
        dated=1,
        characters=72,
        first=(
            "https://gpuopen.com/learn/using_matrix_core_amd_rdna4/",
            "Using the Matrix Cores of AMD RDNA 4 architecture GPUs",
            "2025-07-11",
        ),
        last=(
            "https://docs.python.org/3/library/asyncio-task.html",
            "Coroutines and tasks",
            None,
        ),
        usage={},
    ),
    "20_extract_v1beta_partial_failure.json": Extract(
        pages=(
            (
                f"{SNOWFLAKE}user-guide/exploring-compute-cost",
                "404 File Not Found - Snowflake Documentation",
                None,
                87,
                0,
            ),
        ),
        usage={MORE: 1},
        failed=(("60000", "fetch_error"),),
        warnings=(NEITHER,),
        version="v1beta",
    ),
    "21_extract_v1beta_soft404.json": Extract(
        pages=(
            (
                f"{SNOWFLAKE}developer-guide/native-apps/ui/metaplane",
                "404 File Not Found - Snowflake Documentation",
                None,
                108,
                0,
            ),
        ),
        usage={MORE: 1},
        version="v1beta",
    ),
    "22_extract_v1beta_full_content.json": Extract(
        pages=(
            (
                f"{SNOWFLAKE}sql-reference/account-usage/application_daily_usage_history",
                "APPLICATION_DAILY_USAGE_HISTORY view | Snowflake Documentation",
                "2026-01-01",
                8086,
                8195,
            ),
            (
                f"{SNOWFLAKE}sql-reference/account-usage/listing_access_history",
                "404 File Not Found - Snowflake Documentation",
                None,
                87,
                87,
            ),
            (
                f"{SNOWFLAKE}sql-reference/account-usage/application_state",
                "404 File Not Found - Snowflake Documentation",
                None,
                87,
                87,
            ),
            (
                f"{SNOWFLAKE}developer-guide/declarative-sharing/monitoring",
                (
                    "Monitoring Usage with Declarative Sharing in the Native Application Framework "
                    "| Snowflake Documentation"
                ),
                None,
                3693,
                4190,
            ),
        ),
        usage={MORE: 4, FULL: 4},
        version="v1beta",
    ),
    "23_extract_v1beta_full_100k.json": Extract(
        pages=((WELL_ARCHITECTED, "Cost Optimization", None, 19_970, 100_632),),
        usage={MORE: 1, FULL: 1},
        version="v1beta",
    ),
    "24_extract_v1_docs.json": Extract(
        pages=(
            (
                "https://www.un.org/en/about-us/history-of-the-un",
                "History of the United Nations | United Nations",
                "2001-01-01",
                3698,
                0,
            ),
        ),
        usage={MORE: 1},
    ),
    "30_error_401_c1.json": Failure(401, errors.AuthenticationError, "Invalid API key (C.1)", None),
    "31_error_401_c3.json": Failure(401, errors.AuthenticationError, "Invalid API key (C.3)", None),
    "32_error_401_c0.json": Failure(
        401, errors.AuthenticationError, "No API key provided (C.0)", None
    ),
    "33_error_422_objective.json": Failure(
        422,
        errors.InvalidRequestError,
        "Either 'objective' or 'search_queries' must be provided and non-empty",
        "c7a6b468-4508-41f2-8f2d-97d9edda83a9",
    ),
    "34_error_422_missing_urls.json": Failure(
        422,
        errors.InvalidRequestError,
        "Request validation error.",
        "267c3b57-a2c2-42f0-ad24-5d794916ff4f",
        ("urls", "Field required"),
    ),
    "35_error_422_extra_forbidden.json": Failure(
        422,
        errors.InvalidRequestError,
        "Request validation error.",
        "96547bf1",
        ("excerpts", "full_content", "Extra inputs are not permitted"),
    ),
    "36_error_402.json": Failure(
        402,
        errors.PaymentRequiredError,
        "Insufficient credit in account, please check your plan and billing details.",
        "b03c0f0bcc5774c8b662393d9200e8bb",
    ),
    "37_error_404_run_failed.json": Failure(
        404, errors.NotFoundError, "Run failed.", "51f78b52-913c-4198-ad65-eeb176ad6972"
    ),
    "38_error_422_event_group.json": Failure(
        422,
        errors.InvalidRequestError,
        "Could not find event group with id replay-fixture-event-group-1",
        "441dc2b8e97431869bb23ae8d2d6c67b",
    ),
    "01_cookbook_task_created_ultra_text.json": Document(
        TaskRun, {"run_id": "trun_df742c30826e4306888cdd2acc84879b", "status": "queued"}
    ),
    "01_cookbook_task_result_ultra_text.json": Task(
        run_id="trun_df742c30826e4306888cdd2acc84879b",
        processor="ultra",
        content="# Independent U.S. Coffee Shops 2025-2030",
        citations=74,
        passages=219,
        confidences={"high": 1},
        first=(
            "content",
            COFFEE,
            "U.S. Coffee Shop Industry Market Analysis",
            "Grandview Research projects a robust 9.5",
        ),
        unknown=frozenset({"output.beta_fields"}),
    ),
    "02_cookbook_task_created_ultra_auto.json": Document(
        TaskRun, {"run_id": "trun_971d6bf9cb7b477bb239fe54e4c38d55", "status": "queued"}
    ),
    "02_cookbook_task_result_ultra_auto.json": Task(
        run_id="trun_971d6bf9cb7b477bb239fe54e4c38d55",
        processor="ultra",
        content="executive_summary",
        fields=78,
        citations=215,
        passages=457,
        confidences={"medium": 44, "high": 29, "low": 5},
        first=(
            "licensing_and_permitting_overview",
            "https://nyc-business.nyc.gov/nycbusiness/description/mobile-food-vending-license",
            "Mobile Food Vending License | City of New York",
            "The Mobile Food Vending License is issue",
        ),
        unknown=frozenset({"output.beta_fields"}),
    ),
    "40_task_input_ultra_auto_sections.json": Document(
        CreateTaskRunRequest, {"processor": "ultra"}
    ),
    "40_task_result_ultra_auto_sections.json": Task(
        run_id="trun_r002",
        processor="ultra",
        content="executive_summary",
        fields=5,
        citations=52,
        confidences={"": 3, "medium": 1, "high": 1},
        first=(
            "step_2_capabilities_matrix",
            "https://intercom.help/nalo/fr/articles/3198757-quels-sont-les-frais-de-nalo-patrimoine",
            "Quels sont les frais de Nalo Patrimoine ? | Nalo | FAQ",
            "Quels sont les frais de Nalo Patrimoine ",
        ),
    ),
    "41_task_input_ultra_auto_answer.json": Document(CreateTaskRunRequest, {"processor": "ultra"}),
    "41_task_result_ultra_auto_answer.json": Task(
        run_id="trun_r006",
        processor="ultra",
        content="answer",
        citations=35,
        first=(
            "answer",
            "https://www.toolpick.dev/pricing/linear",
            "Linear Pricing 2026: Plans, Costs & Free Tier Breakdown",
            "Linear Pricing 2026: Plans, Costs & Free",
        ),
    ),
    "42_task_input_ultra_auto_mixed_confidence.json": Document(
        CreateTaskRunRequest, {"processor": "ultra"}
    ),
    "42_task_result_ultra_auto_mixed_confidence.json": Task(
        run_id="trun_r010",
        processor="ultra",
        content="executive_summary",
        fields=10,
        citations=23,
        confidences={"low": 5, "": 4, "high": 1},
        first=(
            "company_identity",
            "https://www.linkedin.com/company/linearapp",
            "Linear - LinkedIn",
            "Linear - LinkedIn\nWebsite: https://linea",
        ),
    ),
    "43_task_input_ultra_auto_pricing.json": Document(CreateTaskRunRequest, {"processor": "ultra"}),
    "43_task_result_ultra_auto_pricing.json": Task(
        run_id="trun_r009",
        processor="ultra",
        content="executive_summary",
        fields=12,
        citations=24,
        confidences={"low": 5, "medium": 4, "": 2, "high": 1},
        first=(
            "1_nalo",
            "https://www.nalo.fr/notre-tarif",
            "Nos tarifs - Nalo",
            "Comment Nalo peut-il offrir à ses client",
        ),
    ),
    "44_task_result_mcp_0.json": Task(
        run_id="trun_36d27f69cc5d41b4bfbf17f12a642cc6",
        processor="lite",
        content="output",
        citations=0,
        first=None,
    ),
    "44_task_result_mcp_1.json": Task(
        run_id="trun_36d27f69cc5d41b48ac24e7adee81259",
        processor="base",
        content="output",
        first=("output", "https://pitchbook.com/profiles/company/697228-84", None, ""),
        tools=("pratikdani-slash-pitchbook-companies-scraper",),
    ),
    "45_task_result_docs_text_2025.json": Task(
        run_id="trun_9907962f83aa4d9d98fd7f4bf745d654",
        processor="base",
        content="10-1945",
        citations=4,
        first=("output", "https://www.un.org/en/about-us/history-of-the-un", None, ""),
    ),
    "46_task_result_docs_core_2025.json": Task(
        run_id="trun_0824bb53c79c407b89614ba22e9db51c",
        processor="core",
        content="funding_sources",
        fields=3,
        citations=6,
        confidences={"high": 2, "low": 1},
        first=(
            "funding_sources",
            "https://www.financingun.report/un-financing/un-funding/funding-entity",
            "Funding sources",
            "The UN system is funded by a diverse set",
        ),
    ),
    "47_task_result_docs_mcp_ok.json": Task(
        run_id="trun_6eb64c73e4324b159fb4c63cc673cb73",
        processor="lite",
        content="As of July 2025, ....",
        first=("output", CRESCENDO, None, ""),
        tools=("web_search_parallel",),
    ),
    "48_task_result_docs_mcp_warning.json": Task(
        run_id="trun_6eb64c73e4324b15aa537bc630b8a9d9",
        processor="lite",
        content="As of July 2025, ....",
        first=("output", CRESCENDO, None, ""),
        warnings=1,
    ),
    "49_task_result_mcp_2026.json": Task(
        run_id="trun_0cb15e174bc44a019a58b8a02ebefe54",
        processor="lite",
        content="output",
        confidences={"medium": 1},
        first=(
            "output",
            "https://pubmed.ncbi.nlm.nih.gov/42749808",
            "Reimagining research papers as interactive and reliable AI agents - PubMed",
            "Paper2Agent transforms research output f",
        ),
        tools=("web_search",),
    ),
    "50_task_result_core_text_2026.json": Task(
        run_id="trun_b39d08eb16914bb6a83724884fe01f6f",
        processor="core",
        content="Claim: Moderate alcohol consumption protects",
        citations=5,
        confidences={"medium": 1},
        first=(
            "output",
            "https://pmc.ncbi.nlm.nih.gov/articles/PMC3043109/",
            "Association of alcohol consumption with selected ...",
            "",
        ),
    ),
    "51_task_result_auto_empty_basis_2026.json": Task(
        run_id="trun_7f0d77aad14040b4980cca67c0a6d6f2",
        processor="pro",
        content="executive_summary",
        fields=4,
        citations=3,
        confidences={"": 3, "low": 1},
        first=(
            "the_june_2026_coding_model_landscape_who_actually_wins",
            "https://www.morphllm.com/swe-bench-pro",
            "SWE-bench Pro Leaderboard (2026): Every Model Score ...",
            "Jun 9, 2026 — SWE-bench Pro Leaderboard ",
        ),
    ),
    **dict.fromkeys(
        ("55_task_events_2025.sse", "56_task_events_2026.sse"),
        Events(
            run_id="trun_aa9c7a780c9d4d4b9aa0ca064f61a6f7",
            events=(
                ("task_run.state", "running"),
                ("task_run.progress_msg.exec_status", "Starting research"),
                (
                    "task_run.progress_msg.plan",
                    (
                        "I'm working on gathering information about Google's hiring in 2024, "
                        "including where most jobs were created and any official announcements. "
                        "I'll review recent news, reports, and Google's own statements to provide "
                        "a comprehensive answer."
                    ),
                ),
                (
                    "task_run.progress_msg.tool",
                    (
                        "I've looked into Google's hiring activity in 2024, focusing on locations "
                        "and official statements. I'll compile the findings and share a clear "
                        "update with you shortly."
                    ),
                ),
                ("task_run.progress_stats", ""),
            ),
            num_considered=223,
            num_read=22,
        ),
    ),
    "03_rl_monitor_alpha_events_full.json": Monitor(
        types={"event_stream": 296, "completion": 231},
        first=(
            "2026-02-19",
            "mevtgrp_f41811cedbb3402241f2be49299faa8ecb8cdc0c2e9ab203",
            "DeepL announced availability on the AWS Marketplace",
        ),
        urls=(
            (
                "https://www.prnewswire.com/apac/news-releases/deepl-launches-on-aws-marketplace-"
                "supercharging-global-business-with-ai-translation-power-302688282.html"
            ),
        ),
    ),
    "60_monitor_alpha_event_group.json": Monitor(
        types={"event_stream": 2},
        first=(
            "2026-01-20",
            "mevtgrp_6b502a8614e249ad44553d1bc5a90a947b03ee2226867c5c",
            "OpenAI published a 'Stargate Community' update",
        ),
        urls=(
            (
                "https://hipther.com/latest-news/2026/01/21/105510/ai-dispatch-daily-trends-and-"
                "innovations-january-21-2026-anthropic-openai-stargate-deutsche-bank-aistrike-"
                "copeland/"
            ),
        ),
    ),
    "63_monitor_v1_snapshot_empty_previous.json": Monitor(
        types={"snapshot": 1},
        first=("2026-07-14", "mevtgrp_live_empty_previous", "MEDIUM"),
        urls=("https://current.test/financial",),
    ),
    "70_findall_event_status.json": Findall(metrics=(4, 0)),
    "71_findall_event_generated.json": Findall(matches=(("Adept AI", "https://adept.ai", {}),)),
    "72_findall_event_matched.json": Findall(
        matches=(("Traba", "https://traba.work/", {"founded_after_2020_check": "2021"}),)
    ),
    "73_findall_event_enriched.json": Findall(
        matches=(
            (
                "Liquid AI",
                "https://www.liquid.ai/",
                {"ceo_name": "Ramin Hasani", "cto_name": "Mathias Lechner"},
            ),
        )
    ),
    "74_findall_event_schema.json": Findall(),
    "75_findall_result_flat.json": Findall(
        matches=(
            (
                "Figure AI",
                "https://www.figure.ai",
                {
                    "khosla_ventures_portfolio_check": "Khosla Ventures led the Series B round",
                    "founded_after_2020_check": "2022",
                },
            ),
        ),
        metrics=(8, 5),
    ),
    "76_findall_run_docs.json": Document(
        FindallRun,
        {"findall_id": "findall_40e0ab8c10754be0b7a16477abb38a2f", "generator": "core"},
    ),
}
