from mom import Mom

with Mom(name="ana") as ana, Mom(name="ben") as ben:
    ben.subscribe("museum/+", if_new=True)
    ana.publish("museum/doors", {"door": 3, "open": True})
    message = ben.receive(timeout=5)
    if message is not None:
        print(message.topic, message.value, "from", message.sender)
