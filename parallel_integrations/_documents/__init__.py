"""Documents, tools and queries: what the LangChain and LlamaIndex classes share."""
