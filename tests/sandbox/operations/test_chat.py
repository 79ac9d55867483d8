import json
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Corpus, Page, Sandbox
from tests.sandbox.ids import numbered

QUESTION = "What does the with statement do?"


def body(text: str = QUESTION, model: str = "base", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def events(response: httpx.Response) -> list[str]:
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("\n\n")
    return [frame.removeprefix("data: ") for frame in response.text.strip().split("\n\n")]


@pytest.mark.parametrize("path", ["/chat/completions", "/v1beta/chat/completions"])
def test_plain_answer(http: httpx.Client, sandbox: Sandbox, path: str) -> None:
    payload = http.post(path, json=body()).json()

    assert payload["id"] == payload["object"] == payload["model"] == ""
    assert payload["usage"] is None
    assert payload["created"] == 1777716000
    [choice] = payload["choices"]
    assert choice["finish_reason"] is None
    assert choice["message"]["role"] == "assistant"
    assert payload["interaction_id"] == numbered("interaction")
    [basis] = payload["basis"]
    assert basis["field"] == "output"
    assert basis["confidence"] == "high"
    for citation in basis["citations"]:
        page = sandbox.corpus.get(citation["url"])
        assert page is not None
        assert citation["title"] == page.title
        assert citation["url"] in choice["message"]["content"]
        for excerpt in citation["excerpts"]:
            assert excerpt in page.text
            assert f"“{' '.join(excerpt.split())}” [1]" in choice["message"]["content"]


@pytest.mark.parametrize(
    ("model", "usd"), [("speed", 0.005), ("lite", 0.005), ("base", 0.01), ("core", 0.025)]
)
def test_models(http: httpx.Client, sandbox: Sandbox, model: str, usd: float) -> None:
    payload = http.post("/chat/completions", json=body(model=model)).json()

    assert bool(payload["basis"]) is (model != "speed")
    assert bool(payload["interaction_id"]) is (model != "speed")
    assert sandbox.ledger.usd == usd
    assert sandbox.ledger.entries[0].detail == model


def test_a_response_is_the_same_whatever_equal_pages_were_searched_before() -> None:
    def found(question: str) -> Any:
        copies = [
            Page(f"https://{name}.example/", name.title(), text)
            for name, text in (
                (
                    "otter",
                    "# Food\n\nOtters eat fish in rivers.\n\n# Sleep\n\nOtters sleep in a den.",
                ),
                ("badger", "Badgers eat worms in meadows, and they sleep in a sett."),
            )
        ]
        with Sandbox(Corpus(copies)) as sandbox:
            headers = {"x-api-key": sandbox.api_key}
            response = httpx.post(
                f"{sandbox.url}/chat/completions", json=body(question), headers=headers
            )
        [basis] = response.json()["basis"]
        return [each["url"] for each in basis["citations"]]

    found("Is there fish in rivers?")  # one passage of a page, which is kept
    urls = found("What do otters eat, and where do otters sleep?")
    assert urls == ["https://otter.example/", "https://badger.example/"]


def test_nothing_found_is_said(http: httpx.Client) -> None:
    payload = http.post("/chat/completions", json=body("zxqv?")).json()

    assert payload["choices"][0]["message"]["content"] == (
        "The sandbox found nothing about this in its pages."
    )
    [basis] = payload["basis"]
    assert basis["citations"] == []
    assert basis["confidence"] == "low"


@pytest.mark.parametrize("text", [QUESTION, "zxqv?", "context managers and exceptions"])
def test_a_stream_says_what_the_plain_answer_says(
    http: httpx.Client, sandbox: Sandbox, text: str
) -> None:
    plain = http.post("/chat/completions", json=body(text)).json()
    sandbox.reset()
    *chunks, done = events(http.post("/chat/completions", json=body(text, stream=True)))

    assert done == "[DONE]"
    assert 8 <= len(chunks) <= 40
    parsed = [json.loads(chunk) for chunk in chunks]
    deltas = [chunk["choices"][0]["delta"] for chunk in parsed]
    assert "".join(d["content"] for d in deltas) == plain["choices"][0]["message"]["content"]
    assert deltas[0]["role"] == "assistant"
    assert all("role" not in delta for delta in deltas[1:])
    assert {chunk["type"] for chunk in parsed} == {"chat.completion.chunk"}
    assert [c["choices"][0]["finish_reason"] for c in parsed] == [None] * (len(parsed) - 1) + [
        "stop"
    ]
    assert [bool(chunk["basis"]) for chunk in parsed] == [False] * (len(parsed) - 1) + [True]
    assert parsed[-1]["basis"] == plain["basis"]
    assert parsed[-1]["interaction_id"] == plain["interaction_id"]
    assert sandbox.ledger.count("chat") == 1


def test_a_stream_may_end_without_done() -> None:
    with Sandbox(stream_done=False) as sandbox:
        headers = {"x-api-key": sandbox.api_key}
        response = httpx.post(
            sandbox.url + "/chat/completions", json=body(stream=True), headers=headers
        )
        assert "[DONE]" not in response.text
        assert json.loads(events(response)[-1])["choices"][0]["finish_reason"] == "stop"


def test_a_follow_up_is_read_with_what_came_before(http: httpx.Client) -> None:
    first = http.post("/chat/completions", json=body("What is a lambda expression?")).json()
    alone = http.post("/chat/completions", json=body("And why?", model="lite")).json()
    later = http.post(
        "/chat/completions",
        json=body("And why?", previous_interaction_id=first["interaction_id"]),
    ).json()
    seen = http.post(
        "/chat/completions",
        json={
            "model": "base",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is a lambda expression?"},
                {"role": "assistant", "content": "A small function."},
                {"role": "user", "content": "And why?"},
            ],
        },
    ).json()

    assert "lambda" not in alone["choices"][0]["message"]["content"].lower()
    assert "lambda" in later["choices"][0]["message"]["content"].lower()
    assert "lambda" in seen["choices"][0]["message"]["content"].lower()


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"model": "gpt-4"}, "model"),
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"previous_interaction_id": "interaction_unknown"}, "previous_interaction_id"),
    ],
)
def test_validation_errors_are_the_framework_kind(
    http: httpx.Client, sandbox: Sandbox, wrong: dict[str, Any], where: str
) -> None:
    response = http.post("/chat/completions", json={**body(), **wrong})

    assert response.status_code == 422
    detail = response.json()["detail"]
    assert all(set(problem) == {"loc", "msg", "type"} for problem in detail)
    assert detail[0]["loc"][:2] == ["body", where]
    assert sandbox.ledger.count() == 0


def test_what_is_documented_as_ignored_is_ignored(http: httpx.Client) -> None:
    more: dict[str, Any] = {
        "temperature": 0.5,
        "max_tokens": 1,
        "tools": [{"any": "thing"}],
        "stop": ["x"],
    }
    response = http.post("/chat/completions", json=body(**more))

    assert response.status_code == 200
    assert len(response.json()["choices"][0]["message"]["content"]) > 100


def test_only_the_question_of_a_retrieval_prompt_counts(http: httpx.Client) -> None:
    prompt = (
        "Context information is below.\n---\nThe nonlocal statement rebinds names. The lambda "
        f"form makes functions.\n---\nAnswer the query.\nQuery: {QUESTION}\nAnswer: "
    )
    plain, wrapped = (
        http.post("/chat/completions", json=body(text)).json()["choices"]
        for text in (QUESTION, prompt)
    )
    assert wrapped == plain
