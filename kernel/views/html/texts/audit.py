"""What the page of the audit trail says, and the field for a reason in forms."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "audit": {"en": "Audit trail", "zh": "审计记录"},
    "audit_hint": {
        "en": "Who changed what. Nothing here can be changed; kernel audit verify checks that "
        "nothing was, and kernel audit export prints all of it.",
        "zh": "谁更改了什么。此处内容不可修改；kernel audit verify 可校验，"
        "kernel audit export 可导出。",
    },
    "audit_caption": {"en": "Changes, the newest first", "zh": "更改记录，按时间倒序"},
    "actor": {"en": "Who", "zh": "操作者"},
    "verb": {"en": "What", "zh": "操作"},
    "target": {"en": "On what", "zh": "对象"},
    "act": {"en": "Act", "zh": "操作"},
    "act_before": {"en": "Before", "zh": "更改前"},
    "act_after": {"en": "After", "zh": "更改后"},
    "reason": {"en": "Reason", "zh": "原因"},
    "reason_hint": {"en": "Reason (optional)", "zh": "原因（选填）"},
    "no_acts": {"en": "No changes.", "zh": "暂无更改。"},
    "field_actor": {"en": "who", "zh": "操作者"},
    "field_verb": {"en": "what", "zh": "操作"},
    "field_target": {"en": "on what", "zh": "对象"},
    "refused_keys": {"en": "Refused keys", "zh": "被拒绝的密钥"},
    "refused_caption": {
        "en": "By minute, network and beginning of the key",
        "zh": "按分钟、网段和密钥前缀统计",
    },
    "network": {"en": "Network", "zh": "网段"},
    "refused_count": {"en": "Times", "zh": "次数"},
}
