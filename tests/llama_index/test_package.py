"""Names of the subpackage, and the error without LlamaIndex."""

import subprocess
import sys
from typing import get_type_hints

import llama_index.core
import pytest

from parallel_integrations import llama_index as subpackage
from parallel_integrations._install import install_command
from parallel_integrations.llama_index.base import PageSearch, PageSearchOptions, SearchOptions
from parallel_integrations.llama_index.query_engines import (
    QueryEngineOptions,
    TaskResponderSettings,
)
from parallel_integrations.llama_index.readers import ExtractOptions
from parallel_integrations.llama_index.retrievers import EntityOptions, EntitySettings
from parallel_integrations.llama_index.tools import ParallelToolSettings, ToolOptions
from parallel_integrations.models import ExtractSettings, SearchSettings


def python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_is_what_it_says() -> None:
    assert {"ParallelLLM", "ParallelRetriever", "citation_blocks"} <= set(subpackage.__all__)
    assert [getattr(subpackage, name).__name__ for name in subpackage.__all__] == subpackage.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ParallelWriter"):
        _ = subpackage.ParallelWriter


def test_the_subpackage_does_not_shadow_the_framework() -> None:
    assert "parallel_integrations" not in str(llama_index.core.__file__)


def test_the_subpackage_opens_without_importing_the_framework() -> None:
    out = python(
        "import parallel_integrations.llama_index, sys; print('llama_index' in sys.modules)"
    )
    assert out.strip() == "False"


WEBHOOKS = {"parse_webhook", "verify_webhook", "webhook_id"}


def test_webhooks_are_verified_without_the_framework() -> None:
    names = ", ".join(WEBHOOKS)
    out = python(
        "import sys\n"
        "sys.modules['llama_index'] = sys.modules['langchain_core'] = None\n"
        f"from parallel_integrations.llama_index import {names}\n"
        f"from parallel_integrations.langchain import {names}\n"
        "print(verify_webhook({}, b'', 'whsec_c2VjcmV0'))\n"
    )
    assert out.strip() == "False"


@pytest.mark.parametrize("name", sorted({*subpackage.__all__} - WEBHOOKS))
def test_without_the_extra_the_error_names_it(name: str) -> None:
    out = python(
        "import sys\n"
        "sys.modules['llama_index'] = None\n"
        "try:\n"
        f"    from parallel_integrations.llama_index import {name}\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert install_command("llama-index") in out


def test_typed_arguments_are_the_settings() -> None:
    assert set(get_type_hints(SearchOptions)) == {"max_results", *SearchSettings.model_fields}
    assert set(get_type_hints(PageSearchOptions)) == set(PageSearch.model_fields)
    assert set(get_type_hints(ExtractOptions)) == set(ExtractSettings.model_fields)
    assert set(get_type_hints(ToolOptions)) == set(ParallelToolSettings.model_fields)
    assert set(get_type_hints(EntityOptions)) == set(EntitySettings.model_fields)
    chat = {"system_prompt", "extra_body", "extra_headers"}
    chat |= {"reasoning_effort", "previous_response_id"}
    left_out = {"processor", "input_schema", "enable_events", "webhook"}
    task = set(TaskResponderSettings.model_fields) - left_out
    assert set(get_type_hints(QueryEngineOptions)) == chat | task
