"""What pages outside the dashboard say: that of one order, and the API's document."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "yours": {"en": "Your order", "zh": "您的工单"},
    "yours_batch": {"en": "A batch of orders", "zh": "批量工单"},
    "yours_progress": {"en": "Progress", "zh": "进度"},
    "yours_far": {"en": "{current} of {total}", "zh": "{current} / {total}"},
    "yours_ordered_at": {"en": "Ordered", "zh": "提交时间"},
    "yours_ended_at": {"en": "Ended", "zh": "结束时间"},
    "yours_result": {"en": "Result", "zh": "结果"},
    "yours_stay": {
        "en": "This page keeps itself up to date. You may close it and come back.",
        "zh": "本页会自动刷新。您可以关闭页面，稍后再回来查看。",
    },
    "yours_offline": {"en": "No connection. Trying again.", "zh": "连接中断，正在重试。"},
    "yours_unknown": {"en": "There is nothing here", "zh": "此处没有内容"},
    "yours_unknown_more": {
        "en": "This link is not complete, or its order is no longer kept.",
        "zh": "链接不完整，或该工单已超过保留期限。",
    },
    "yours_away": {"en": "Not possible right now", "zh": "暂时无法显示"},
    "yours_away_more": {
        "en": "Your order is safe. This page tries again in a moment.",
        "zh": "您的工单不受影响，本页稍后会自动重试。",
    },
    "link_ask": {"en": "Your answer is asked for", "zh": "需要您确认"},
    "link_ask_more": {
        "en": "An order waits for you. Nothing is told until you press the button.",
        "zh": "有工单等待您的答复。点击按钮之前不会提交任何内容。",
    },
    "link_event": {"en": "Answer", "zh": "答复"},
    "link_confirm": {"en": "Confirm: {name}", "zh": "确认：{name}"},
    "link_again": {
        "en": "This page was open for too long, or came from elsewhere. Press the button again.",
        "zh": "页面已失效或来源不明，请再次点击按钮。",
    },
    "link_as": {"en": "Signed in as", "zh": "当前登录："},
    "link_until": {"en": "Possible until", "zh": "截止时间"},
    "link_once": {
        "en": "The answer can be given once and not taken back.",
        "zh": "答复只能提交一次，提交后不能撤回。",
    },
    "link_told": {"en": "Your answer has been passed on", "zh": "您的答复已提交"},
    "link_told_more": {"en": "You may close this page.", "zh": "您可以关闭本页。"},
    "link_used": {"en": "This was answered before", "zh": "此前已有答复"},
    "link_used_more": {
        "en": "This link can be used once. The answer came at",
        "zh": "该链接只能使用一次。答复时间：",
    },
    "link_over": {"en": "No answer is needed any more", "zh": "不再需要答复"},
    "link_over_more": {
        "en": "The time for an answer is over, or the order has ended.",
        "zh": "答复时间已过，或工单已结束。",
    },
    "link_away_more": {
        "en": "Nothing was told. Try again in a moment.",
        "zh": "答复尚未提交，请稍后重试。",
    },
    "docs": {"en": "API", "zh": "接口文档"},
    "docs_key": {"en": "API key", "zh": "API 密钥"},
    "docs_key_hint": {
        "en": "The document names your operator's order types, so it needs a key that may read. "
        "The key stays in this page: closing it forgets the key.",
        "zh": "接口文档包含运维方的工单类型，需要具有读取权限的密钥。"
        "密钥只保留在本页，关闭即失效。",
    },
    "docs_session": {
        "en": "Shown because you are signed in to the dashboard. To send requests from here, "
        "give a key, too.",
        "zh": "您已登录控制台，因此可以查看。如需从本页发送请求，还需填写密钥。",
    },
    "docs_show": {"en": "Show", "zh": "显示"},
    "docs_wrong": {
        "en": "This key does not open the document.",
        "zh": "该密钥无效或没有读取权限。",
    },
    "docs_failed": {
        "en": "The document could not be loaded. Try again.",
        "zh": "文档加载失败，请重试。",
    },
    "docs_script": {
        "en": "This page needs JavaScript. The document itself does not: ask for it with your key.",
        "zh": "本页需要 JavaScript。也可以使用密钥直接获取文档。",
    },
}
