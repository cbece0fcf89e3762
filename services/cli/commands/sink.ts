import { sinkService } from '../../sink/main.js'
import { serviceCommand } from '../service_command.js'

export const sink = serviceCommand(sinkService)
