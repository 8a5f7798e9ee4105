"""Small treebanks of our own: sentences in four languages, and documents with coreference."""

from __future__ import annotations


def tabbed(treebank: str) -> str:
    """CoNLL-U as files have it, with tabs between the columns."""
    lines = treebank.splitlines(keepends=True)
    return "".join(line.replace(" ", "\t") if line[:1].isdigit() else line for line in lines)


ENGLISH = tabbed("""\
# sent_id = english-1
# text = The old cat sees a boat.
1 The the DET _ Definite=Def|PronType=Art 3 det _ _
2 old old ADJ _ _ 3 amod _ _
3 cat cat NOUN _ Number=Sing 4 nsubj _ _
4 sees see VERB _ _ 0 root _ _
5 a a DET _ Definite=Ind|PronType=Art 6 det _ _
6 boat boat NOUN _ Number=Sing 4 obj _ SpaceAfter=No
7 . . PUNCT _ _ 4 punct _ _

# sent_id = english-2
# text = She reads the letter of her friend.
1 She she PRON _ Case=Nom|Gender=Fem|Number=Sing|PronType=Prs 2 nsubj _ _
2 reads read VERB _ _ 0 root _ _
3 the the DET _ Definite=Def|PronType=Art 4 det _ _
4 letter letter NOUN _ Number=Sing 2 obj _ _
5 of of ADP _ _ 7 case _ _
6 her her PRON _ Case=Gen|Gender=Fem|Poss=Yes|PronType=Prs 7 nmod:poss _ _
7 friend friend NOUN _ Number=Sing 4 nmod _ SpaceAfter=No
8 . . PUNCT _ _ 2 punct _ _

# sent_id = english-3
# text = We don't know who left the door open.
1 We we PRON _ Case=Nom|Number=Plur|Person=1|PronType=Prs 4 nsubj _ _
2-3 don't _ _ _ _ _ _ _ _
2 do do AUX _ _ 4 aux _ _
3 n't not PART _ _ 4 advmod _ _
4 know know VERB _ _ 0 root _ _
5 who who PRON _ PronType=Int 6 nsubj _ _
6 left leave VERB _ _ 4 ccomp _ _
7 the the DET _ Definite=Def|PronType=Art 8 det _ _
8 door door NOUN _ Number=Sing 6 obj _ _
9 open open ADJ _ _ 6 xcomp _ SpaceAfter=No
10 . . PUNCT _ _ 4 punct _ _

# sent_id = english-4
# text = In the morning a gardener waters the red roses.
1 In in ADP _ _ 3 case _ _
2 the the DET _ Definite=Def|PronType=Art 3 det _ _
3 morning morning NOUN _ Number=Sing 6 obl _ _
4 a a DET _ Definite=Ind|PronType=Art 5 det _ _
5 gardener gardener NOUN _ Number=Sing 6 nsubj _ _
6 waters water VERB _ _ 0 root _ _
7 the the DET _ Definite=Def|PronType=Art 9 det _ _
8 red red ADJ _ _ 9 amod _ _
9 roses rose NOUN _ Number=Plur 6 obj _ SpaceAfter=No
10 . . PUNCT _ _ 6 punct _ _

# sent_id = english-5
# text = Nobody heard the story that the keeper told.
1 Nobody nobody PRON _ Number=Sing|PronType=Neg 2 nsubj _ _
2 heard hear VERB _ _ 0 root _ _
3 the the DET _ Definite=Def|PronType=Art 4 det _ _
4 story story NOUN _ Number=Sing 2 obj _ _
5 that that PRON _ PronType=Rel 8 obj _ _
6 the the DET _ Definite=Def|PronType=Art 7 det _ _
7 keeper keeper NOUN _ Number=Sing 8 nsubj _ _
8 told tell VERB _ _ 4 acl:relcl _ SpaceAfter=No
9 . . PUNCT _ _ 2 punct _ _

# sent_id = english-6
# text = Come, Anna!
1 Come come VERB _ _ 0 root _ SpaceAfter=No
2 , , PUNCT _ _ 3 punct _ _
3 Anna Anna PROPN _ Number=Sing 1 vocative _ SpaceAfter=No
4 ! ! PUNCT _ _ 1 punct _ _

""")

GERMAN = tabbed("""\
# sent_id = german-1
# text = Wir gehen am Abend zum See.
1 Wir wir PRON _ _ 2 nsubj _ _
2 gehen gehen VERB _ _ 0 root _ _
3-4 am _ _ _ _ _ _ _ _
3 an an ADP _ _ 5 case _ _
4 dem der DET _ _ 5 det _ _
5 Abend Abend NOUN _ _ 2 obl _ _
6-7 zum _ _ _ _ _ _ _ _
6 zu zu ADP _ _ 8 case _ _
7 dem der DET _ _ 8 det _ _
8 See See NOUN _ _ 2 obl _ SpaceAfter=No
9 . . PUNCT _ _ 2 punct _ _

# sent_id = german-2
# text = Das alte Haus steht im Garten.
1 Das der DET _ _ 3 det _ _
2 alte alt ADJ _ _ 3 amod _ _
3 Haus Haus NOUN _ _ 4 nsubj _ _
4 steht stehen VERB _ _ 0 root _ _
5-6 im _ _ _ _ _ _ _ _
5 in in ADP _ _ 7 case _ _
6 dem der DET _ _ 7 det _ _
7 Garten Garten NOUN _ _ 4 obl _ SpaceAfter=No
8 . . PUNCT _ _ 4 punct _ _

# sent_id = german-3
# text = Beim Essen schweigen die Kinder.
1-2 Beim _ _ _ _ _ _ _ _
1 bei bei ADP _ _ 3 case _ _
2 dem der DET _ _ 3 det _ _
3 Essen Essen NOUN _ _ 4 obl _ _
4 schweigen schweigen VERB _ _ 0 root _ _
5 die der DET _ _ 6 det _ _
6 Kinder Kind NOUN _ _ 4 nsubj _ SpaceAfter=No
7 . . PUNCT _ _ 4 punct _ _

""")

CHINESE = tabbed("""\
# sent_id = chinese-1
# text = 我喜欢苹果。
1 我 我 PRON _ _ 2 nsubj _ SpaceAfter=No
2 喜欢 喜欢 VERB _ _ 0 root _ SpaceAfter=No
3 苹果 苹果 NOUN _ _ 2 obj _ SpaceAfter=No
4 。 。 PUNCT _ _ 2 punct _ _

# sent_id = chinese-2
# text = 它们很新鲜。
1 它们 它们 PRON _ _ 3 nsubj _ SpaceAfter=No
2 很 很 ADV _ _ 3 advmod _ SpaceAfter=No
3 新鲜 新鲜 ADJ _ _ 0 root _ SpaceAfter=No
4 。 。 PUNCT _ _ 3 punct _ _

# sent_id = chinese-3
# text = 她昨天在超市买了书。
1 她 她 PRON _ _ 5 nsubj _ SpaceAfter=No
2 昨天 昨天 NOUN _ _ 5 nmod:tmod _ SpaceAfter=No
3 在 在 ADP _ _ 4 case _ SpaceAfter=No
4 超市 超市 NOUN _ _ 5 obl _ SpaceAfter=No
5 买 买 VERB _ _ 0 root _ SpaceAfter=No
6 了 了 AUX _ _ 5 aux _ SpaceAfter=No
7 书 书 NOUN _ _ 5 obj _ SpaceAfter=No
8 。 。 PUNCT _ _ 5 punct _ _

""")

ARABIC = tabbed("""\
# sent_id = arabic-1
# text = قرأ الولد الكتاب.
1 قرأ قرأ VERB _ _ 0 root _ _
2 الولد الولد NOUN _ _ 1 nsubj _ _
3 الكتاب الكتاب NOUN _ _ 1 obj _ SpaceAfter=No
4 . . PUNCT _ _ 1 punct _ _

# sent_id = arabic-2
# text = كتابه جديد.
1-2 كتابه _ _ _ _ _ _ _ _
1 كتاب كتاب NOUN _ _ 3 nsubj _ _
2 ه ه PRON _ _ 1 nmod _ _
3 جديد جديد ADJ _ _ 0 root _ SpaceAfter=No
4 . . PUNCT _ _ 3 punct _ _

""")

DOCUMENTS = tabbed("""\
# newdoc id = dog
# global.Entity = eid-etype
# sent_id = dog-1
# text = Anna has a dog.
1 Anna Anna PROPN _ Number=Sing 2 nsubj _ Entity=(e1-person)
2 has have VERB _ _ 0 root _ _
3 a a DET _ Definite=Ind|PronType=Art 4 det _ Entity=(e2-animal
4 dog dog NOUN _ Number=Sing 2 obj _ Entity=e2)|SpaceAfter=No
5 . . PUNCT _ _ 2 punct _ _

# sent_id = dog-2
# text = She loves it.
1 She she PRON _ Case=Nom|Gender=Fem|Number=Sing|PronType=Prs 2 nsubj _ Entity=(e1-person)
2 loves love VERB _ _ 0 root _ _
3 it it PRON _ Gender=Neut|Number=Sing|PronType=Prs 2 obj _ Entity=(e2-animal)|SpaceAfter=No
4 . . PUNCT _ _ 2 punct _ _

# sent_id = dog-3
# text = The dog barks when her friend Ben visits.
1 The the DET _ Definite=Def|PronType=Art 2 det _ Entity=(e2-animal
2 dog dog NOUN _ Number=Sing 3 nsubj _ Entity=e2)
3 barks bark VERB _ _ 0 root _ _
4 when when SCONJ _ _ 8 mark _ _
5 her her PRON _ Case=Gen|Gender=Fem|Poss=Yes|PronType=Prs 6 nmod:poss _ Entity=(e3-person(e1-person)
6 friend friend NOUN _ Number=Sing 8 nsubj _ _
7 Ben Ben PROPN _ Number=Sing 6 appos _ Entity=e3)
8 visits visit VERB _ _ 3 advcl _ SpaceAfter=No
9 . . PUNCT _ _ 3 punct _ _

# sent_id = dog-4
# text = He gives the animal a bone.
1 He he PRON _ Case=Nom|Gender=Masc|Number=Sing|PronType=Prs 2 nsubj _ Entity=(e3-person)
2 gives give VERB _ _ 0 root _ _
3 the the DET _ Definite=Def|PronType=Art 4 det _ Entity=(e2-animal
4 animal animal NOUN _ Number=Sing 2 iobj _ Entity=e2)
5 a a DET _ Definite=Ind|PronType=Art 6 det _ Entity=(e4-object
6 bone bone NOUN _ Number=Sing 2 obj _ Entity=e4)|SpaceAfter=No
7 . . PUNCT _ _ 2 punct _ _

# newdoc id = king
# sent_id = king-1
# text = The old king had two sons.
1 The the DET _ Definite=Def|PronType=Art 3 det _ Entity=(e1-person
2 old old ADJ _ _ 3 amod _ _
3 king king NOUN _ Number=Sing 4 nsubj _ Entity=e1)
4 had have VERB _ _ 0 root _ _
5 two two NUM _ _ 6 nummod _ Entity=(e2-person
6 sons son NOUN _ Number=Plur 4 obj _ Entity=e2)|SpaceAfter=No
7 . . PUNCT _ _ 4 punct _ _

# sent_id = king-2
# text = They feared him.
1 They they PRON _ Case=Nom|Number=Plur|PronType=Prs 2 nsubj _ Entity=(e2-person)
2 feared fear VERB _ _ 0 root _ _
3 him he PRON _ Case=Acc|Gender=Masc|Number=Sing|PronType=Prs 2 obj _ Entity=(e1-person)|SpaceAfter=No
4 . . PUNCT _ _ 2 punct _ _

# sent_id = king-3
# text = The king gave his crown to the people of the land.
1 The the DET _ Definite=Def|PronType=Art 2 det _ Entity=(e1-person
2 king king NOUN _ Number=Sing 3 nsubj _ Entity=e1)
3 gave give VERB _ _ 0 root _ _
4 his his PRON _ Case=Gen|Gender=Masc|Poss=Yes|PronType=Prs 5 nmod:poss _ Entity=(e3-object(e1-person)
5 crown crown NOUN _ Number=Sing 3 obj _ Entity=e3)
6 to to ADP _ _ 8 case _ _
7 the the DET _ Definite=Def|PronType=Art 8 det _ Entity=(e4-person
8 people person NOUN _ Number=Sing 3 obl _ _
9 of of ADP _ _ 11 case _ _
10 the the DET _ Definite=Def|PronType=Art 11 det _ Entity=(e5-place
11 land land NOUN _ Number=Sing 8 nmod _ Entity=e5)e4)|SpaceAfter=No
12 . . PUNCT _ _ 3 punct _ _

# sent_id = king-4
# text = The people thanked the king for it.
1 The the DET _ Definite=Def|PronType=Art 2 det _ Entity=(e4-person
2 people person NOUN _ Number=Sing 3 nsubj _ Entity=e4)
3 thanked thank VERB _ _ 0 root _ _
4 the the DET _ Definite=Def|PronType=Art 5 det _ Entity=(e1-person
5 king king NOUN _ Number=Sing 3 obj _ Entity=e1)
6 for for ADP _ _ 7 case _ _
7 it it PRON _ Gender=Neut|Number=Sing|PronType=Prs 3 obl _ Entity=(e3-object)|SpaceAfter=No
8 . . PUNCT _ _ 3 punct _ _

""")

TREEBANK = ENGLISH + GERMAN + CHINESE + ARABIC
