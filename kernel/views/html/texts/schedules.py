"""What the page of recurring orders says."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "schedules": {"en": "Recurring orders", "zh": "定时工单"},
    "schedules_hint": {
        "en": "Orders that are submitted at the times of a cron expression.",
        "zh": "按 cron 表达式的时间自动提交的工单。",
    },
    "schedules_caption": {"en": "Recurring orders by name", "zh": "定时工单，按名称排列"},
    "no_schedules": {"en": "No recurring orders.", "zh": "暂无定时工单。"},
    "schedule_commands": {
        "en": "They are made, changed and removed on the command line:",
        "zh": "新增、修改和删除请使用命令行：",
    },
    "schedule_name": {"en": "Name", "zh": "名称"},
    "schedule_when": {"en": "When", "zh": "时间"},
    "schedule_next": {"en": "Next", "zh": "下次"},
    "schedule_last": {"en": "Last order", "zh": "最近工单"},
    "schedule_order_gone": {"en": "the order is gone", "zh": "工单已清除"},
    "schedule_error": {"en": "Last error", "zh": "最近错误"},
    "schedule_failed": {"en": "no order", "zh": "未提交"},
    "schedule_buttons": {"en": "What can be done", "zh": "操作"},
    "run_now": {"en": "Run now", "zh": "立即执行"},
    "run_now_sure": {
        "en": "Its order is submitted now. Its times stay as they are.",
        "zh": "立即提交一个工单，原定时间不变。",
    },
    "schedule_pause_sure": {
        "en": "Nothing is submitted until it is resumed, and times that pass are not made up.",
        "zh": "恢复之前不会提交，期间错过的时间也不补做。",
    },
    "done_schedule_paused": {"en": "It is paused.", "zh": "已暂停。"},
    "done_schedule_resumed": {"en": "It goes on with its next time.", "zh": "已恢复。"},
}
