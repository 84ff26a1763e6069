"""The last part of a host name: what tells `ann@example.org` from `query@key.transposed`."""

from __future__ import annotations

_COUNTRIES = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf "
    "cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge gf "
    "gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km "
    "kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz "
    "na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg "
    "sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc "
    "ve vg vi vn vu wf ws ye yt za zm zw"
)
_OTHERS = (
    "com org net edu gov mil int info biz name pro aero asia cat coop jobs mobi museum post tel travel arpa "
    "academy accountant accountants agency ai amsterdam app apartments art associates attorney auction audio band bank bar "
    "bargains bayern beer berlin best bet bike bingo bio black blog blue boston boutique broker brussels build builders "
    "business buzz cab cafe camera camp capital cards care career careers cash casino catering center ceo charity chat "
    "cheap church city cleaning click clinic cloud club coach codes coffee college cologne community company computer "
    "condos construction consulting contact contractors cool country coupons courses credit cruises dance data dating "
    "deals degree delivery democrat dental design dev diamonds diet digital direct directory discount doctor dog domains "
    "download earth eco education email energy engineer engineering enterprises equipment estate eus events exchange "
    "expert exposed express family fans farm fashion film finance financial fish fit fitness flights florist flowers "
    "football forsale foundation fun fund furniture fyi gallery game games garden gift gifts gives glass global gmbh gold "
    "golf google graphics gratis green gripe group guide guru hamburg haus health healthcare help hiphop hockey holdings "
    "holiday homes horse hospital host hosting house how immo industries ink institute insure international investments "
    "invalid irish jetzt jewelry juegos kaufen kim kitchen kiwi koeln land law lawyer lease legal lgbt life lighting "
    "limited limo link live llc loan loans local localhost london love ltd maison management market marketing mba media "
    "melbourne memorial menu miami mobile moda money mortgage movie network news ngo ninja nyc observer one ong online "
    "ooo page paris partners parts party pet pharmacy photo photography photos physio pics pictures pink pizza place "
    "plumbing plus porn press productions promo properties property pub quebec racing realty recipes red rehab reise "
    "reisen rent rentals repair report republican rest restaurant review reviews rip rocks rodeo run ruhr saarland sale "
    "salon sarl school schule science scot security services sex sexy shoes shop shopping show singles site ski soccer "
    "social software solar solutions space sport store stream studio study style sucks supplies supply support surf "
    "surgery swiss sydney systems tattoo tax taxi team tech technology tennis test theater tickets tienda tips tires tirol "
    "today tokyo tools top tours town toys trade trading training tube university uno vacations vegas ventures vet viajes "
    "video villas vin vip vision vodka vote voyage wales wang watch webcam website wedding whoswho wien wiki win wine work "
    "works world wtf xyz yachts yoga zone example"
)
_KNOWN = frozenset(f"{_COUNTRIES} {_OTHERS}".split())


def is_top_level(label: str) -> bool:
    """Whether a name may end so: all countries, the common others, and any in a script of its own."""
    return label.lower() in _KNOWN or not label.isascii() or label.startswith("xn--")
