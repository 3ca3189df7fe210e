"""What `wording` says, in the other languages of the chat. The polite form that a customer service uses."""

from __future__ import annotations

from chatbot.conversations import wording

GERMAN = {
    wording.TALK_TO_A_PERSON: "Mit einem Menschen sprechen",
    wording.DID_YOU_MEAN: "Ich möchte sicher sein, dass ich Sie richtig verstehe. Meinten Sie eine dieser Fragen?",
    wording.OUT_OF_SCOPE: (
        "Ich kann nur bei Fragen zu unserem Shop und zu Ihren Bestellungen helfen. Geht es um eine dieser Fragen?"
    ),
    wording.OFFER_A_PERSON: (
        "Es tut mir leid, ich verstehe Ihr Anliegen leider immer noch nicht und möchte nicht raten. "
        "Soll ich Sie mit einem Menschen verbinden?"
    ),
    wording.CANNOT_READ: (
        "Vielen Dank. Dateien kann ich nicht lesen. Bitte beschreiben Sie mir, worum es geht, oder sprechen Sie mit "
        "einem Menschen, der sich ansieht, was Sie gesendet haben."
    ),
    wording.NO_SOURCE: (
        "Das habe ich auf unseren Hilfeseiten nicht gefunden und möchte nicht raten. "
        "Soll ich Sie mit einem Menschen verbinden?"
    ),
    wording.ONLY_ENGLISH: (
        "Ich kann zurzeit leider nur auf Englisch antworten. Sie können Ihre Frage gerne auf Englisch stellen, "
        "oder ich verbinde Sie mit einem Menschen."
    ),
    wording.HANDED_OVER: (
        "Ich habe diese Unterhaltung an unser Team weitergegeben. Ein Mensch liest alles, was oben "
        "steht, und antwortet "
        "Ihnen hier. Sie können diese Seite verlassen; die Unterhaltung bleibt erhalten. Wenn Sie lieber mit mir "
        "weitermachen möchten, wählen Sie „Zurück zum Assistenten“."
    ),
    wording.HANDED_OVER_OUTSIDE_HOURS: (
        "Ich habe diese Unterhaltung an unser Team weitergegeben. Im Moment ist niemand da. "
        "Hinterlassen Sie unten Ihre "
        "E-Mail-Adresse, dann antworten wir Ihnen dort, oder kommen Sie auf diese Seite zurück. "
        "Wenn Sie lieber mit mir "
        "weitermachen möchten, wählen Sie „Zurück zum Assistenten“."
    ),
    wording.BACK_IN_QUEUE: (
        "Sie sind wieder in der Warteschlange. Wer als Nächstes frei ist, liest alles, was oben steht."
    ),
    wording.JOINED: "{name} ist der Unterhaltung beigetreten.",
    wording.SOMEBODY: "Jemand aus unserem Team",
    wording.BACK_TO_BOT: "Sie sprechen wieder mit dem Assistenten.",
}

ARABIC = {
    wording.TALK_TO_A_PERSON: "التحدث إلى موظف",
    wording.DID_YOU_MEAN: "أودّ التأكد من أنني فهمتكم جيدًا. هل تقصدون أحد هذه الأسئلة؟",
    wording.OUT_OF_SCOPE: "يمكنني المساعدة فقط في الأسئلة المتعلقة بمتجرنا وبطلباتكم. هل سؤالكم أحد هذه الأسئلة؟",
    wording.OFFER_A_PERSON: (
        "أعتذر منكم، لم أفهم بعدُ ما تحتاجون إليه، ولا أودّ أن أخمّن. هل تودّون أن أحوّلكم إلى أحد موظفينا؟"
    ),
    wording.CANNOT_READ: (
        "شكرًا لكم. لا أستطيع الاطلاع على الملفات، فيُرجى أن تصفوا لي الموضوع كتابةً، أو أن "
        "تتحدثوا إلى موظف سيطّلع على ما أرسلتموه."
    ),
    wording.NO_SOURCE: ("لم أجد إجابة عن ذلك في صفحات المساعدة، ولا أودّ أن أخمّن. هل تودّون أن أحوّلكم إلى أحد موظفينا؟"),
    wording.ONLY_ENGLISH: (
        "نعتذر منكم، لا أستطيع الإجابة حاليًا إلا باللغة الإنجليزية. يمكنكم طرح سؤالكم "
        "بالإنجليزية، أو التحدث إلى أحد موظفينا."
    ),
    wording.HANDED_OVER: (
        "لقد حوّلت هذه المحادثة إلى فريقنا. سيقرأ أحد موظفينا كل ما ورد أعلاه ويجيبكم هنا. يمكنكم مغادرة هذه الصفحة، "
        "فالمحادثة محفوظة. وإذا كنتم تفضّلون المتابعة معي، فاختاروا «العودة إلى المساعد الآلي»."
    ),
    wording.HANDED_OVER_OUTSIDE_HOURS: (
        "لقد حوّلت هذه المحادثة إلى فريقنا. لا يوجد أحد من فريقنا في الوقت الحالي. اتركوا عنوان "
        "بريدكم الإلكتروني أدناه "
        "وسنجيبكم عليه، أو عودوا إلى هذه الصفحة لاحقًا. وإذا كنتم تفضّلون المتابعة معي، فاختاروا "
        "«العودة إلى المساعد الآلي»."
    ),
    wording.BACK_IN_QUEUE: "لقد عدتم إلى قائمة الانتظار. سيقرأ أول موظف متاح كل ما ورد أعلاه.",
    wording.JOINED: "انضم {name} إلى المحادثة.",
    wording.SOMEBODY: "أحد أعضاء فريقنا",
    wording.BACK_TO_BOT: "أنتم تتحدثون الآن إلى المساعد الآلي من جديد.",
}

CHINESE = {
    wording.TALK_TO_A_PERSON: "转人工客服",
    wording.DID_YOU_MEAN: "我想确认一下是否正确理解了您的意思。您想问的是以下哪个问题？",
    wording.OUT_OF_SCOPE: "我只能回答与本店及您的订单有关的问题。您想问的是以下哪个问题？",
    wording.OFFER_A_PERSON: "非常抱歉，我还是没能理解您的需求，也不想随意猜测。需要为您转接人工客服吗？",
    wording.CANNOT_READ: "谢谢。我无法查看文件，请用文字告诉我您的问题，或转人工客服，由客服人员查看您发送的内容。",
    wording.NO_SOURCE: "我在帮助页面中没有找到相关内容，也不想随意猜测。需要为您转接人工客服吗？",
    wording.ONLY_ENGLISH: "非常抱歉，我目前只能用英语回答。您可以用英语提问，也可以转人工客服。",
    wording.HANDED_OVER: (
        "我已将此对话转交给我们的团队。客服人员会阅读以上全部内容，并在这里回复您。您可以离开此页面，对话会保留。"
        "如果您希望继续与我对话，请选择“返回智能助手”。"
    ),
    wording.HANDED_OVER_OUTSIDE_HOURS: (
        "我已将此对话转交给我们的团队。现在没有客服人员在线。请在下方留下您的电子邮箱，我们会通过邮件回复您；"
        "您也可以稍后回到此页面查看。如果您希望继续与我对话，请选择“返回智能助手”。"
    ),
    wording.BACK_IN_QUEUE: "您已重新进入排队。下一位空闲的客服人员会阅读以上全部内容。",
    wording.JOINED: "{name}已加入对话。",
    wording.SOMEBODY: "我们的客服人员",
    wording.BACK_TO_BOT: "智能助手将继续为您服务。",
}

# By ISO 639, as messages keep it.
TRANSLATIONS = {"de": GERMAN, "ar": ARABIC, "zh": CHINESE}


def translated(text: str, language: str) -> str:
    """A text of `wording` in the language, or as it is where we have no words for that."""
    return TRANSLATIONS.get(language, {}).get(text, text)


def all_forms(text: str) -> set[str]:
    """The text of `wording` in every language."""
    return {text, *(words[text] for words in TRANSLATIONS.values())}
