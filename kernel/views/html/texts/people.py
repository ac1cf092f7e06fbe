"""What the pages say about people, their roles and their sessions."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "people_page": {"en": "People", "zh": "人员"},
    "people_caption": {
        "en": "People who may sign in, by name",
        "zh": "可以登录的人员（按姓名）",
    },
    "person": {"en": "Person", "zh": "人员"},
    "role": {"en": "Role", "zh": "角色"},
    "role_viewer": {"en": "viewer", "zh": "查看者"},
    "role_operator": {"en": "operator", "zh": "操作员"},
    "role_admin": {"en": "admin", "zh": "管理员"},
    "needs_viewer": {"en": "This needs a role.", "zh": "此操作需要角色。"},
    "needs_operator": {
        "en": "Your role may look and not act: this needs the role operator. Ask an admin.",
        "zh": "您的角色只能查看，不能操作：此操作需要操作员角色，请联系管理员。",
    },
    "needs_admin": {
        "en": "This needs the role admin. Ask an admin.",
        "zh": "此操作需要管理员角色，请联系管理员。",
    },
    "signs_in_by": {"en": "Signs in by", "zh": "登录方式"},
    "person_disabled": {"en": "disabled", "zh": "已停用"},
    "disable_person": {"en": "Disable", "zh": "停用"},
    "disable_person_sure": {
        "en": "Ends the person's sessions and revokes their keys at once.",
        "zh": "立即结束该人员的全部会话并吊销其密钥。",
    },
    "enable_person": {"en": "Enable", "zh": "启用"},
    "done_person_disabled": {
        "en": "Disabled: sessions are ended and keys revoked.",
        "zh": "已停用：会话已结束，密钥已吊销。",
    },
    "done_person_enabled": {
        "en": "Enabled. Old keys stay revoked: make a new one with kernel people set --new-key.",
        "zh": "已启用。旧密钥仍为吊销状态，请用 kernel people set --new-key 新建。",
    },
    "no_people": {"en": "No people yet.", "zh": "暂无人员。"},
    "no_people_hint": {
        "en": "Operators share keys. Give each a name: kernel people add NAME --role operator",
        "zh": "目前运维人员共用密钥。为每人建立姓名：kernel people add NAME --role operator",
    },
    "people_commands": {
        "en": "People are added, changed and removed on the command line:",
        "zh": "通过命令行添加、修改和删除人员：",
    },
    "sessions_title": {"en": "Sessions", "zh": "会话"},
    "sessions_caption": {
        "en": "Browsers that are signed in, the one used last first",
        "zh": "已登录的浏览器（最近使用的在前）",
    },
    "session_from": {"en": "From", "zh": "来源"},
    "session_agent": {"en": "Browser", "zh": "浏览器"},
    "session_began": {"en": "Signed in", "zh": "登录时间"},
    "session_own": {"en": "this one", "zh": "当前"},
    "end_session": {"en": "End", "zh": "结束"},
    "end_session_sure": {
        "en": "This browser is signed out at once.",
        "zh": "该浏览器将立即退出。",
    },
    "no_sessions": {"en": "No browser is signed in.", "zh": "没有已登录的浏览器。"},
    "done_session_ended": {"en": "The session is ended.", "zh": "会话已结束。"},
    "done_session_over": {"en": "That session was over already.", "zh": "该会话此前已结束。"},
}
