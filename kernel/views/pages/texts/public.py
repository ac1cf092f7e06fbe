"""What the page of one order says to the person who ordered."""

from kernel.messages import Language

TEXTS: dict[str, dict[Language, str]] = {
    "yours": {"en": "Your order", "zh": "您的工单"},
    "state_yours_pending": {"en": "Waiting to begin", "zh": "等待执行"},
    "state_yours_running": {"en": "In progress", "zh": "执行中"},
    "state_yours_success": {"en": "Done", "zh": "已完成"},
    "state_yours_warning": {"en": "Partly done", "zh": "部分完成"},
    "state_yours_failed": {"en": "Failed", "zh": "失败"},
    "state_yours_cancelled": {"en": "Cancelled", "zh": "已取消"},
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
}
