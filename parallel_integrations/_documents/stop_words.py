"""Stop words of keyword queries, in the most frequent languages."""

from typing import Final

_OPENERS = """
a an the this that these those it its i me my we our us you your he she they them their
how what which who whom whose when where why is are was were be been being am do does did done
can could may might must shall should will would has have had having about there here
please kindly thanks thank hello
der die das den dem des ein eine einer eines einem einen wie was welche welcher welches welchen
wer wen wem wessen wann wo warum wieso weshalb ist sind war waren sein wird werden wurde kann
können könnte muss müssen soll sollte hat haben man ich wir sie er es mir mich uns bitte
le la les un une des du comment quel quelle quels quelles qui que quoi quand où pourquoi est
sont était être peut ont il elle nous vous je
el los las una unos unas cómo qué cuál cuáles quién cuándo dónde por porqué es son fue ser puede
lo o os as um uma como qual quais quem quando onde porque foi pode
il gli uno cosa chi dove perché sono era essere può
de het een hoe wat welke wie wanneer waar waarom zijn kan
ما ماذا كيف هل لماذا متى أين من هو هي التي الذي هذا هذه كم أي
क्या कैसे कौन कब कहाँ क्यों कितना है हैं था
কি কী কিভাবে কীভাবে কে কখন কোথায় কেন
என்ன எப்படி யார் எப்போது எங்கே ஏன்
ဘယ်လို ဘာ ဘယ်သူ ဘယ်မှာ
что как какой какая какие кто когда где почему это
"""
_REQUESTS = """
please tell explain describe give show find list compare let know want need like
summarize summarise summary write provide research
"""
REQUESTS: Final = frozenset(_REQUESTS.split())
"""Stop words only before the question's first keyword; later they carry meaning."""

OPENERS: Final = frozenset(_OPENERS.split())
"""Question words, auxiliaries, articles, pronouns."""

_QUESTIONS = """
how what which who when where why wie was welche welcher welches warum
comment quel quelle quels quelles pourquoi cómo qué cuál cuáles quién
"""
QUESTIONS: Final = frozenset(_QUESTIONS.split())
"""Question words; within a text, the question itself follows them."""

_LINKS = """
and or but nor so if then than as at by for from in into of off on onto over to with without
between among through during before after against under up out not no also very more most much
many some any each every all other such own same only just
und oder aber mit von zu zum zur bei beim im in am an auf aus für über unter nach vor zwischen
durch gegen ohne um nicht auch noch nur als ob wenn dass
et ou avec dans sur pour par sans entre au aux en ne pas
y e con del al para sin entre sobre en no
em do da dos das no na nos nas ao com sem
di del della dei nel nella su per con tra fra
van en of met voor op bij te
في على إلى عن مع بين و أو
के का की को में से और पर लिए
জন্য এবং থেকে
மற்றும்
и в на с по для из от о к
"""
LINKS: Final = frozenset(_LINKS.split())
"""Prepositions and conjunctions; "with" or "between" may belong to a phrase."""

JOINING: Final = frozenset(
    ", and or und oder et ou y e o и или و أو a an the der die das le la les el los".split()
)
"""What stands between the members of a list, or within a phrase."""

_ALWAYS = """
preferring preferably ideally avoiding excluding ignoring citing
bevorzugt vorzugsweise privilégiant préférence priorizando preferiblemente
"""
_IMPERATIVES = """
prefer avoid exclude ignore cite return respond answer write format output ensure summarize
summarise bevorzuge vermeide antworte responde
"""
_ABOUT_SOURCES = """
emphasizing emphasising emphasis prioritizing prioritising favoring favouring focusing focussing
restricting enfatizando énfasis
"""
_ABOUT_SOURCES_FIRST = """
emphasize emphasise prioritize prioritise focus restrict limit use using include including rely
only based schwerpunkt fokus berücksichtige nutze verwende
"""
ALWAYS_GUIDANCE: Final = frozenset((_ALWAYS + _IMPERATIVES).split())
"""Words that say how to respond; what follows them in the sentence is no keyword."""

GUIDANCE: Final = frozenset((_ALWAYS + _ABOUT_SOURCES).split())
"""Words that begin guidance wherever they stand."""

IMPERATIVES: Final = frozenset((_IMPERATIVES + _ABOUT_SOURCES_FIRST).split())
"""Words that begin guidance where a clause begins with them.

Of those that are not in `ALWAYS_GUIDANCE`, what follows is a facet unless it names sources.
"""

_SOURCES = """
source sources announcement announcements documentation docs paper papers article articles
publication publications website websites site sites press release releases blog blogs filing
filings statement statements journal journals outlet outlets reference references study studies
citation citations links peer-reviewed official primary authoritative reputable credible
quellen quelle ankündigungen dokumentation veröffentlichungen annonces officielles fuentes oficiales
"""
SOURCES: Final = frozenset(_SOURCES.split())
"""Kinds of sources, and what is said of them."""
